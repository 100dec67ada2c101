#include <gtest/gtest.h>

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
// Asio counts references to its executors with fences that TSan does not understand (boostorg/asio #1760).
extern "C" const char* __tsan_default_suppressions();
extern "C" const char* __tsan_default_suppressions() { return "race:ref_count_down\nrace:~shared_target_executor\n"; }
#endif
#endif

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
