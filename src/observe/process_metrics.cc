#include <dirent.h>
#include <sys/resource.h>
#include <unistd.h>

#include <ctime>
#include <fstream>
#include <string>

#include "observe/metrics.h"

namespace flux::metrics {

namespace {

double cpu_seconds() {
  timespec now{};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) / 1e9;
}

double resident_bytes() {
  std::ifstream in("/proc/self/statm");
  double total = 0;
  double resident = 0;
  in >> total >> resident;
  return resident * static_cast<double>(::sysconf(_SC_PAGESIZE));
}

double entries_of(const char* folder) {
  DIR* const listing = ::opendir(folder);
  if (listing == nullptr) return 0;
  double count = 0;
  while (const dirent* entry = ::readdir(listing)) {  // NOLINT(concurrency-mt-unsafe): one listing, one thread
    if (entry->d_name[0] != '.') ++count;
  }
  ::closedir(listing);
  return count;
}

double open_files() { return entries_of("/proc/self/fd") - 1; }  // without the listing itself

double open_files_limit() {
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  return static_cast<double>(limit.rlim_cur);
}

/// Field 22 of /proc/self/stat counts ticks from boot; the name in field 2 may hold blanks, so counting begins after
/// it.
double start_seconds() {
  std::ifstream in("/proc/self/stat");
  std::string text;
  std::getline(in, text);
  const auto name_end = text.rfind(')');
  if (name_end == std::string::npos) return 0;
  std::size_t at = name_end + 1;
  for (int field = 3; field <= 22; ++field) at = text.find(' ', at) + 1;
  const double ticks = std::strtod(text.c_str() + at, nullptr);
  timespec boot{};
  ::clock_gettime(CLOCK_BOOTTIME, &boot);
  const double uptime = static_cast<double>(boot.tv_sec) + static_cast<double>(boot.tv_nsec) / 1e9;
  return static_cast<double>(wall_now().ns) / 1e9 - uptime + ticks / static_cast<double>(::sysconf(_SC_CLK_TCK));
}

}  // namespace

std::vector<Registration> register_process_metrics(Registry& registry) {
  std::vector<Registration> all;
  all.push_back(registry.callback_counter("process_cpu_seconds_total", "User and system CPU time.", {}, cpu_seconds));
  all.push_back(registry.callback_gauge("process_resident_memory_bytes", "Memory in use.", {}, resident_bytes));
  all.push_back(registry.callback_gauge("process_open_fds", "Open files and sockets.", {}, open_files));
  all.push_back(registry.callback_gauge("process_max_fds", "Limit of open files.", {}, open_files_limit));
  all.push_back(
      registry.callback_gauge("process_threads", "Threads.", {}, [] { return entries_of("/proc/self/task"); }));
  all.push_back(registry.callback_gauge("process_start_time_seconds", "Unix time of the start.", {},
                                        [start = start_seconds()] { return start; }));
  return all;
}

}  // namespace flux::metrics
