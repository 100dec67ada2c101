#include "registry/directory.h"

#include <gtest/gtest.h>

#include <rapidcheck.h>
#include <algorithm>
#include <atomic>
#include <barrier>
#include <cstring>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "registry/text.h"

namespace flux::registry {
namespace {

constexpr TenantId kTenant = kDefaultTenant;

DeviceSettingsPtr settings(Directory& directory, DeviceSettings own, Labels labels = {}) {
  own.labels = directory.intern(std::move(labels));
  return std::make_shared<const DeviceSettings>(std::move(own));
}

std::vector<std::string> ids(const DirectoryPage& page) {
  std::vector<std::string> out;
  for (const auto& entry : page.devices) out.push_back(entry->id());
  return out;
}

/// All pages one after the other.
std::vector<std::string> walk(const Directory& directory, const DeviceFilter& filter, DeviceSort sort,
                              std::size_t limit, std::size_t* total = nullptr) {
  std::vector<std::string> all;
  std::string cursor;
  do {
    const auto page = directory.list(kTenant, filter, sort, cursor, limit);
    EXPECT_TRUE(page) << page.error().message;
    if (!page) return all;
    EXPECT_LE(page->devices.size(), limit);
    for (auto& id : ids(*page)) all.push_back(std::move(id));
    if (total != nullptr) *total = page->total;
    cursor = page->next;
  } while (!cursor.empty());
  return all;
}

TEST(Directory, ensure_makes_a_device_once) {
  Directory directory;
  EXPECT_EQ(directory.find(kTenant, "a"), nullptr);
  const auto a = directory.ensure(kTenant, "a");
  EXPECT_EQ(directory.ensure(kTenant, "a"), a);
  EXPECT_EQ(directory.find(kTenant, "a"), a);
  EXPECT_EQ(directory.find({2}, "a"), nullptr) << "tenants are apart";
  EXPECT_NE(directory.ensure({2}, "a"), a);
  EXPECT_EQ(directory.size(), 2u);
  EXPECT_EQ(directory.size(kTenant), 1u);
  EXPECT_EQ(a->bucket(), bucket_of(kTenant, "a"));
  EXPECT_EQ(a->last_seen(), Time::min());
}

TEST(Directory, new_devices_wait_to_be_saved_and_only_once) {
  Directory directory;
  int told = 0;
  directory.on_unsaved([&] { ++told; });
  const auto a = directory.ensure(kTenant, "a");
  directory.ensure(kTenant, "b");
  ASSERT_TRUE(a->check_or_set_type("telemetry", "t", ValueType::float64));
  EXPECT_EQ(told, 1);
  auto taken = directory.take_unsaved(10);
  EXPECT_EQ(taken.size(), 2u);
  EXPECT_TRUE(directory.take_unsaved(10).empty());
  ASSERT_TRUE(a->check_or_set_type("telemetry", "u", ValueType::float64));  // news again
  ASSERT_TRUE(a->check_or_set_type("telemetry", "u", ValueType::float64));
  EXPECT_EQ(directory.take_unsaved(10), std::vector{a});
  told = 0;
  directory.put_back_unsaved(taken);
  EXPECT_EQ(told, 1) << "or nobody would come for them again";
  EXPECT_EQ(directory.take_unsaved(1).size(), 1u);
  EXPECT_EQ(directory.take_unsaved(10).size(), 1u);
  directory.put_back_unsaved({a});
  directory.remove(kTenant, "a");
  EXPECT_TRUE(directory.take_unsaved(10).empty()) << "a removed device is not saved";
}

TEST(DeviceEntry, the_first_reading_fixes_a_fields_type) {
  Directory directory;
  const auto device = directory.ensure(kTenant, "d");
  const std::vector<FieldDef> fields{{"t", ValueType::float64}, {"n", ValueType::int64}};
  ASSERT_TRUE(device->check_or_set_types("telemetry", fields));
  ASSERT_TRUE(device->check_or_set_types("telemetry", fields));
  const std::vector<FieldDef> clash{{"new", ValueType::boolean}, {"n", ValueType::float64}};
  const auto refused = device->check_or_set_types("telemetry", clash);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().field, "n");
  EXPECT_NE(refused.error().message.find("int64"), std::string::npos);
  EXPECT_EQ(device->field_type("telemetry", "new"), std::nullopt) << "all or none";
  EXPECT_TRUE(device->check_or_set_type("cpu", "n", ValueType::string)) << "measurements are apart";
  EXPECT_EQ(device->field_type("telemetry", "n"), ValueType::int64);
  EXPECT_EQ(device->known_fields()->size(), 3u);
  const auto other = directory.ensure(kTenant, "e");
  ASSERT_TRUE(other->check_or_set_type("cpu", "n", ValueType::string));
  ASSERT_TRUE(other->check_or_set_types("telemetry", fields));
  EXPECT_EQ(other->known_fields(), device->known_fields()) << "equal sets are shared";
}

TEST(DeviceEntry, made_up_fields_end_somewhere) {
  Directory directory;
  const auto device = directory.ensure(kTenant, "d");
  std::vector<FieldDef> fields;
  for (int i = 0; i < 10'000; ++i) fields.push_back({"f" + std::to_string(i), ValueType::float64});
  ASSERT_TRUE(device->check_or_set_types("telemetry", fields));
  const auto refused = device->check_or_set_type("telemetry", "one more", ValueType::float64);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::too_large);
  EXPECT_TRUE(device->check_or_set_type("telemetry", "f9", ValueType::float64));
}

TEST(DeviceEntry, assigned_times_only_rise) {
  Directory directory;
  const auto device = directory.ensure(kTenant, "d");
  EXPECT_EQ(device->assign_time({100}), Time{100});
  EXPECT_EQ(device->assign_time({100}), Time{101});
  EXPECT_EQ(device->assign_time({50}), Time{102});
  device->raise_assigned_time({1000});
  device->raise_assigned_time({500});
  EXPECT_EQ(device->assign_time({600}), Time{1001});
}

TEST(DeviceEntry, assigned_times_differ_between_threads) {
  Directory directory;
  const auto device = directory.ensure(kTenant, "d");
  std::vector<std::vector<std::int64_t>> given(3);
  std::vector<std::thread> threads;
  for (auto& mine : given) {
    threads.emplace_back([&] {
      for (int i = 0; i < 10'000; ++i) mine.push_back(device->assign_time({i}).ns);
    });
  }
  for (auto& thread : threads) thread.join();
  std::set<std::int64_t> all;
  for (const auto& mine : given) {
    EXPECT_TRUE(std::is_sorted(mine.begin(), mine.end()));
    all.insert(mine.begin(), mine.end());
  }
  EXPECT_EQ(all.size(), 30'000u);
}

TEST(Directory, states_are_counted) {
  Directory directory;
  const auto a = directory.ensure(kTenant, "a");
  const auto b = directory.ensure(kTenant, "b");
  EXPECT_EQ(a->set_state(DeviceState::online), DeviceState::never);
  EXPECT_EQ(b->set_state(DeviceState::silent), DeviceState::never);
  EXPECT_EQ(directory.facets(kTenant).states, (std::array<std::size_t, 3>{0, 1, 1}));
  directory.remove(kTenant, "b");
  b->set_state(DeviceState::online);  // a late word about a removed device counts nowhere
  EXPECT_EQ(directory.facets(kTenant).states, (std::array<std::size_t, 3>{0, 1, 0}));
}

TEST(Directory, facets_count_labels_with_those_of_profiles) {
  Directory directory;
  const auto slot = directory.put_profile(
      kTenant, std::make_shared<const Profile>(Profile{.id = "pump", .labels = {{"kind", "pump"}, {"site", "x"}}}));
  directory.load(kTenant, "a", {}, settings(directory, {.profile_slot = slot}, {{"site", "north"}}));
  directory.load(kTenant, "b", {}, settings(directory, {.profile_slot = slot}));
  directory.ensure(kTenant, "c");
  auto facets = directory.facets(kTenant);
  EXPECT_EQ(facets.profiles, (std::map<std::string, std::size_t>{{"pump", 2}}));
  EXPECT_EQ(facets.labels["site"], (std::map<std::string, std::size_t>{{"north", 1}, {"x", 1}}));
  EXPECT_EQ(facets.labels["kind"], (std::map<std::string, std::size_t>{{"pump", 2}}));
  directory.remove_profile(kTenant, "pump");
  facets = directory.facets(kTenant);
  EXPECT_TRUE(facets.profiles.empty());
  EXPECT_EQ(facets.labels.size(), 1u);
  for (int i = 0; i < 80; ++i) {
    const std::string n = std::to_string(i);
    directory.load(kTenant, "s" + n, {}, settings(directory, {}, {{"serial", n}}));
  }
  EXPECT_EQ(directory.facets(kTenant).labels["serial"].size(), 50u);
}

TEST(Directory, a_cursor_of_another_question_is_refused) {
  Directory directory;
  for (int i = 0; i < 10; ++i) directory.ensure(kTenant, "d" + std::to_string(i));
  const auto page = directory.list(kTenant, {}, DeviceSort::name, {}, 3);
  ASSERT_FALSE(page->next.empty());
  const auto code = [&](const DeviceFilter& filter, DeviceSort sort, std::string_view cursor) {
    const auto result = directory.list(kTenant, filter, sort, cursor, 3);
    return result ? std::string("accepted") : result.error().field;
  };
  EXPECT_EQ(code({}, DeviceSort::name, page->next), "accepted");
  EXPECT_EQ(code({.text = "d"}, DeviceSort::name, page->next), "cursor");
  EXPECT_EQ(code({}, DeviceSort::state, page->next), "cursor");
  EXPECT_EQ(code({}, DeviceSort::name, "x"), "cursor");
  EXPECT_EQ(code({}, DeviceSort::name, page->next.substr(0, page->next.size() - 4)), "cursor");
  EXPECT_EQ(code({}, DeviceSort::name, page->next + "AAAA"), "cursor");
}

TEST(Directory, pages_go_on_while_devices_come_and_go) {
  Directory directory;
  for (int i = 100; i < 200; ++i) directory.ensure(kTenant, "d" + std::to_string(i));
  const auto first = directory.list(kTenant, {}, DeviceSort::name, {}, 10);
  directory.remove(kTenant, first->devices.back()->id());  // the very one that the cursor names
  directory.ensure(kTenant, "a-new-one");
  const auto second = directory.list(kTenant, {}, DeviceSort::name, first->next, 10);
  EXPECT_EQ(second->devices.front()->id(), "d110");
}

TEST(Directory, names_are_sorted_as_people_do) {
  Directory directory;
  for (const char* name : {"Cold room 10", "cold room 2", "Cold room 1", "Cold room", "Cold room 02b", "Boiler 100"}) {
    directory.load(kTenant, std::string("id-") + name, {}, settings(directory, {.name = name}, {}));
  }
  const std::vector<std::string> wanted{"id-Boiler 100",  "id-Cold room",     "id-Cold room 1",
                                        "id-cold room 2", "id-Cold room 02b", "id-Cold room 10"};
  EXPECT_EQ(walk(directory, {}, DeviceSort::name, 2), wanted);
  EXPECT_EQ(walk(directory, {}, DeviceSort::state, 2), wanted);
}

/// In lower case and with each number as 40 digits: then plain text compares as people sort.
std::string spelled_out(std::string_view name) {
  std::string text;
  for (std::size_t at = 0; at < name.size();) {
    const std::size_t end = std::min(name.find_first_not_of("0123456789", at), name.size());
    if (end == at) {
      text += ascii_lower(name[at++]);
      continue;
    }
    const std::string_view digits = name.substr(at, end - at);
    text.append(40 - digits.size(), '0').append(digits);
    at = end;
  }
  return text;
}

TEST(DirectoryProperty, natural_order_is_that_of_spelled_out_numbers) {
  const bool held = rc::check([] {
    const auto name = [] {
      return *rc::gen::container<std::string>(
          rc::gen::elementOf(std::string{'0', '0', '1', '2', '9', 'a', 'B', ' ', '/', ':', '\xC3'}));
    };
    const std::string a = name().substr(0, 39);
    const std::string b = *rc::gen::arbitrary<bool>() ? name().substr(0, 39) : (a + name()).substr(0, 39);
    const std::weak_ordering order = compare_naturally(a, b);
    RC_ASSERT(order == (spelled_out(a) <=> spelled_out(b)));
    const auto prefix_a = natural_prefix(a);
    const auto prefix_b = natural_prefix(b);
    const int prefixes = std::memcmp(prefix_a.data(), prefix_b.data(), prefix_a.size());
    if (prefixes != 0) RC_ASSERT(order == (prefixes <=> 0));
  });
  EXPECT_TRUE(held);
  const std::string long_a = std::string(300, '1');
  const std::string long_b = std::string(299, '2');
  EXPECT_TRUE(compare_naturally(long_a, long_b) > 0);
  EXPECT_EQ(natural_prefix(long_a), natural_prefix(long_b));
}

/// Devices with random names, labels, profiles, states; every listing must equal a sort and filter by hand.
TEST(DirectoryProperty, listing_equals_a_plain_search) {
  const bool held = rc::check([] {
    Directory directory;
    const std::vector<std::string> words{"Pump", "pump", "valve", "Über", "a", "B", "c1", "c10", "c2", "c02-", ""};
    std::vector<ProfileSlotPtr> profiles{nullptr};
    for (const char* id : {"p", "q"}) {
      profiles.push_back(
          directory.put_profile(kTenant, std::make_shared<const Profile>(Profile{.id = id, .labels = {{"kind", id}}})));
    }
    const auto word = [&] { return words[*rc::gen::inRange<std::size_t>(0, words.size())]; };
    const int count = *rc::gen::inRange(0, 300);
    for (int i = 0; i < count; ++i) {
      const std::string id = word() + std::to_string(*rc::gen::inRange(0, 200));
      if (*rc::gen::inRange(0, 5) == 0) {
        directory.remove(kTenant, id);
        continue;
      }
      DeviceSettings own{.demo = *rc::gen::arbitrary<bool>()};
      if (*rc::gen::arbitrary<bool>()) own.name = word() + "x";
      if (*rc::gen::inRange(0, 4) == 0) own.location = Location{0, 0, word()};
      own.profile_slot = profiles[*rc::gen::inRange<std::size_t>(0, profiles.size())];
      Labels labels;
      if (*rc::gen::arbitrary<bool>()) labels.emplace_back("site", word());
      const auto entry = *rc::gen::inRange(0, 3) == 0
                             ? directory.ensure(kTenant, id)
                             : directory.load(kTenant, id, {i}, settings(directory, own, labels));
      entry->set_state(static_cast<DeviceState>(*rc::gen::inRange(0, 3)));
      if (*rc::gen::arbitrary<bool>()) entry->seen({*rc::gen::inRange<std::int64_t>(0, 20)});
    }

    DeviceFilter filter;
    if (*rc::gen::arbitrary<bool>()) filter.text = word();
    if (*rc::gen::inRange(0, 3) == 0) filter.labels.emplace_back("site", word());
    if (*rc::gen::inRange(0, 4) == 0) filter.labels.emplace_back("kind", "p");
    if (*rc::gen::inRange(0, 3) == 0) filter.profile = "p";
    if (*rc::gen::inRange(0, 3) == 0) filter.states = {DeviceState::silent, DeviceState::never};
    if (*rc::gen::inRange(0, 3) == 0) filter.demo = *rc::gen::arbitrary<bool>();

    std::vector<DeviceEntryPtr> expected;
    directory.for_each(kTenant, [&](const DeviceEntryPtr& entry) {
      const auto set = entry->settings();
      const auto profile = set->profile();
      const Labels all = set->effective_labels();
      const std::string text = ascii_lower(filter.text);
      const auto has = [&](std::string_view in) { return ascii_lower(in).find(text) != std::string::npos; };
      bool fits = has(entry->id()) || (set->name && has(*set->name)) ||
                  (set->location && set->location->place && has(*set->location->place));
      for (const auto& label : filter.labels) fits &= std::ranges::find(all, label) != all.end();
      if (filter.profile) fits &= profile != nullptr && profile->id == *filter.profile;
      if (!filter.states.empty()) fits &= std::ranges::find(filter.states, entry->state()) != filter.states.end();
      if (filter.demo) fits &= set->demo == *filter.demo;
      RC_ASSERT(fits == Directory::matches(*entry, filter));
      if (fits) expected.push_back(entry);
      return true;
    });
    const auto by_name = [](const DeviceEntryPtr& e) {
      return std::pair(spelled_out(e->settings()->name.value_or(e->id())), e->id());
    };
    const auto by_state = [&](const DeviceEntryPtr& e) {
      const int rank = e->state() == DeviceState::silent ? 0 : e->state() == DeviceState::online ? 1 : 2;
      return std::pair(rank, by_name(e));
    };
    const auto by_seen = [](const DeviceEntryPtr& e) { return std::pair(-(e->last_seen().ns + 1), e->id()); };
    const std::size_t limit = *rc::gen::inRange<std::size_t>(1, 50);
    for (const DeviceSort sort : {DeviceSort::name, DeviceSort::last_seen, DeviceSort::state}) {
      if (sort == DeviceSort::name) std::ranges::sort(expected, {}, by_name);
      if (sort == DeviceSort::state) std::ranges::sort(expected, {}, by_state);
      if (sort == DeviceSort::last_seen) std::ranges::sort(expected, {}, by_seen);
      std::vector<std::string> wanted;
      for (const auto& entry : expected) wanted.push_back(entry->id());
      std::size_t total = 0;
      RC_ASSERT(walk(directory, filter, sort, limit, &total) == wanted);
      RC_ASSERT(total == wanted.size());
    }
    // And the counts agree with the devices.
    const auto facets = directory.facets(kTenant);
    RC_ASSERT(facets.states[0] + facets.states[1] + facets.states[2] == directory.size(kTenant));
  });
  EXPECT_TRUE(held);
}

TEST(Directory, threads_find_make_rename_list_and_remove) {
  Directory directory;
  constexpr int kDevices = 2'000;
  std::atomic<int> running{3};
  std::vector<std::thread> threads;
  for (int t = 0; t < 3; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < kDevices; ++i) {
        const auto entry = directory.ensure(kTenant, "d" + std::to_string(i));
        ASSERT_TRUE(entry->check_or_set_type("telemetry", "f" + std::to_string(i % 7), ValueType::float64));
        entry->set_state(static_cast<DeviceState>((i + t) % 3));
        entry->seen({i});
        if (t == 0 && i % 3 == 0) {
          directory.apply_settings(*entry, settings(directory, {.name = "n" + std::to_string(i)}, {{"a", "b"}}));
        }
        if (t == 1 && i % 5 == 0) directory.remove(kTenant, "d" + std::to_string(i / 2));
        static_cast<void>(entry->settings()->labels->size());
      }
      --running;
    });
  }
  while (running > 0) {
    for (const DeviceSort sort : {DeviceSort::name, DeviceSort::last_seen, DeviceSort::state}) {
      const auto page = directory.list(kTenant, {.text = "1"}, sort, {}, 50);
      ASSERT_TRUE(page);
      for (const auto& entry : page->devices) ASSERT_NE(entry, nullptr);
    }
    static_cast<void>(directory.facets(kTenant));
    for (const auto& entry : directory.take_unsaved(100)) static_cast<void>(entry->known_fields()->size());
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(walk(directory, {}, DeviceSort::name, 100).size(), directory.size(kTenant));
  const auto facets = directory.facets(kTenant);
  EXPECT_EQ(facets.states[0] + facets.states[1] + facets.states[2], directory.size(kTenant));
}

TEST(DeviceId, follows_its_rules) {
  for (const std::string& good :
       {std::string("a"), std::string("pump-1"), std::string("Ü:ü.ö_1 2$"), std::string(128, 'x'), std::string("..."),
        std::string(".a"), std::string(" a"), std::string("\xE2\x80\x93"), std::string("\xF0\x9F\x98\x80")}) {
    EXPECT_TRUE(check_device_id(good)) << good;
  }
  const auto refused = [](std::string id, std::string_view words) {
    const auto result = check_device_id(id, "readings[3].device");
    EXPECT_FALSE(result) << id;
    if (result) return;
    EXPECT_EQ(result.error().code, ErrorCode::invalid_argument);
    EXPECT_EQ(result.error().field, "readings[3].device");
    EXPECT_NE(result.error().message.find(words), std::string::npos) << result.error().message;
  };
  refused("", "empty");
  refused(std::string(129, 'x'), "129 bytes");
  refused("a/b", "`/` (at byte 1)");
  refused("+", "`+`");
  refused("x#", "`#` (at byte 1)");
  refused(std::string("a\0b", 3), "U+0000 at byte 1");
  refused("a\nb", "U+000A");
  refused("a\x7F", "U+007F");
  refused("a\xC2\x85", "U+0085");
  refused(".", "must not be `.`");
  refused("..", "must not be `..`");
  refused(" ", "blanks");
  refused("\xC2\xA0 \xE3\x80\x80\xE2\x80\x8B", "blanks");
  refused(
      "e\xE2\x80\xAE"
      "1",
      "U+202E at byte 1");
  refused(
      "\xE2\x81\xA6"
      "a",
      "U+2066 at byte 0");
  refused("a\xE2\x80\xA8", "U+2028");
  refused("a\xC3", "not valid UTF-8 at byte 1");
  refused("\xC0\xAF", "not valid UTF-8");          // an overlong slash
  refused("\xED\xA0\x80", "not valid UTF-8");      // half of a surrogate pair
  refused("\xF4\x90\x80\x80", "not valid UTF-8");  // beyond U+10FFFF
}

TEST(Base64Url, has_one_spelling_for_each_text) {
  rc::check([](const std::string& bytes) {
    const std::string text = to_base64url(bytes);
    RC_ASSERT(from_base64url(text) == bytes);
  });
  EXPECT_EQ(from_base64url("AB"), std::nullopt);  // bits left over
  EXPECT_EQ(from_base64url("A"), std::nullopt);
  EXPECT_EQ(from_base64url("A+"), std::nullopt);
}

}  // namespace
}  // namespace flux::registry
