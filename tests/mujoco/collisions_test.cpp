#include "kedge/mujoco/collisions.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "kedge/core/random.h"
#include "kedge/mujoco/load_model.h"
#include "tests/support/source_dir.h"
#include "tests/support/temporary_folder.h"

namespace kedge {
namespace {

std::shared_ptr<mjModel> compile(const std::string& xml) {
  const TemporaryFolder folder;
  LoadedModel loaded = load_mujoco_model(folder.write("model.xml", xml));
  EXPECT_TRUE(loaded.model) << loaded.error;
  return loaded.model;
}

/// Has the model still its middle phase, that is, all of its flags?
bool keeps_it(mjModel& m) {
  const int before = m.opt.disableflags;
  skip_middle_phase(m);
  return m.opt.disableflags == before;
}

struct Path {
  std::vector<double> qpos;                    ///< after every step
  std::vector<std::array<double, 3>> contact;  ///< geoms and distance of all contacts of all steps
};

/// Simulates from a random pose with random controls.
Path simulate(const mjModel& m, int steps, std::uint64_t seed) {
  const std::unique_ptr<mjData, void (*)(mjData*)> data(mj_makeData(&m), mj_deleteData);
  mjData& d = *data;
  Stream noise(seed, 0, 0, 0);
  for (int i = 0; i < static_cast<int>(m.nv); ++i) d.qvel[i] = noise.uniform() - 0.5;
  Path path;
  for (int t = 0; t < steps; ++t) {
    for (int i = 0; i < static_cast<int>(m.nu); ++i) d.ctrl[i] = 100.0 * (noise.uniform() - 0.5);
    mj_step(&m, &d);
    path.qpos.insert(path.qpos.end(), d.qpos, d.qpos + m.nq);
    for (int i = 0; i < static_cast<int>(d.ncon); ++i)
      path.contact.push_back({double(d.contact[i].geom1), double(d.contact[i].geom2), d.contact[i].dist});
  }
  return path;
}

void expect_same(const Path& a, const Path& b) {
  EXPECT_EQ(a.contact, b.contact);
  ASSERT_EQ(a.qpos.size(), b.qpos.size());
  EXPECT_EQ(std::memcmp(a.qpos.data(), b.qpos.data(), a.qpos.size() * sizeof(double)), 0);
}

/// Bodies of one to four geoms of random kinds that fall on a floor and on one another.
std::string random_heap(Stream& noise) {
  const auto below = [&](int n) { return static_cast<int>(noise.uniform() * n); };
  const std::array<const char*, 4> kinds = {R"(type="sphere" size="0.1")", R"(type="capsule" size="0.06 0.1")",
                                            R"(type="box" size="0.1 0.06 0.05")", R"(type="cylinder" size="0.1 0.05")"};
  const int kinds_here = 1 + below(4);
  const bool touch = below(2) == 0;
  std::string bodies;
  for (int b = 0; b < 4; ++b) {
    bodies += fmt::format(R"(<body pos="{} {} {}"><freejoint/>)", 0.3 * noise.uniform(), 0.3 * noise.uniform(),
                          0.3 + 0.3 * b);
    for (int g = 1 + below(4); g > 0; --g)
      bodies +=
          fmt::format(R"(<geom {} pos="{} {} 0" contype="{}"/>)", kinds[static_cast<std::size_t>(below(kinds_here))],
                      0.2 * noise.uniform(), 0.2 * noise.uniform(), touch ? 1 : 0);
    bodies += "</body>";
  }
  return fmt::format(R"(<mujoco><worldbody><geom type="plane" size="0 0 1"/>{}</worldbody></mujoco>)", bodies);
}

TEST(MiddlePhase, IsSkippedOnlyWhereTheSimulationStaysTheSameBitForBit) {
  if (mjVERSION_HEADER < 300) GTEST_SKIP() << "nothing is skipped";
  Stream noise(3, 0, 0, 0);
  std::size_t contacts = 0;
  int skipped = 0, kept = 0;
  for (int k = 0; k < 60; ++k) {
    const std::shared_ptr<mjModel> model = compile(random_heap(noise));
    ASSERT_TRUE(model);
    const Path before = simulate(*model, 400, 1);
    if (keeps_it(*model)) {
      ++kept;
      continue;
    }
    ++skipped;
    contacts += before.contact.size();
    expect_same(before, simulate(*model, 400, 1));
  }
  EXPECT_GT(skipped, 15);
  EXPECT_GT(kept, 15);
  EXPECT_GT(contacts, 10000u);
}

TEST(MiddlePhase, IsSkippedInTheWalker) {
  if (mjVERSION_HEADER < 300) GTEST_SKIP() << "nothing is skipped";
  const LoadedModel loaded = load_mujoco_model(test::source_dir() + "/tasks/walker/walker.xml");
  ASSERT_TRUE(loaded.model) << loaded.error;
  const Path before = simulate(*loaded.model, 2000, 2);
  EXPECT_FALSE(keeps_it(*loaded.model));
  const Path after = simulate(*loaded.model, 2000, 2);
  EXPECT_GT(before.contact.size(), 2000u);
  expect_same(before, after);
}

TEST(MiddlePhase, IsKeptWhereItIsNeeded) {
  const auto kept = [](const std::string& geoms) {
    const std::shared_ptr<mjModel> model = compile(fmt::format(
        R"(<mujoco><worldbody><geom type="plane" size="0 0 1"/><body pos="0 0 1"><freejoint/>{}</body>
  <body pos="0 0 2"><freejoint/><geom size="0.1"/></body></worldbody></mujoco>)",
        geoms));
    return model && keeps_it(*model);
  };
  const auto many = [](const std::string& geom, int n) {
    std::string all;
    for (int i = 0; i < n; ++i) all += geom;
    return all;
  };
  EXPECT_EQ(kept(many(R"(<geom size="0.1"/>)", 16)), mjVERSION_HEADER < 300);
  EXPECT_TRUE(kept(many(R"(<geom size="0.1"/>)", 17)));
  EXPECT_TRUE(kept(many(R"(<geom type="box" size="0.1 0.1 0.1"/>)", 2)));
  EXPECT_TRUE(kept(many(R"(<geom size="0.1" margin="0.1" gap="0.05"/>)", 2)));
}

}  // namespace
}  // namespace kedge
