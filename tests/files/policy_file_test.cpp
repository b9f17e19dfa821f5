#include "kedge/files/policy_file.h"

#include <gmock/gmock.h>

#include <cstdlib>
#include <functional>
#include <map>

#include "kedge/core/errors.h"
#include "kedge/files/hdf5.h"
#include "kedge/files/trajectory_file.h"
#include "kedge/run/checkpoint.h"
#include "kedge/run/updates_file.h"
#include "tests/support/example_run.h"
#include "tests/support/source_dir.h"

namespace kedge {
namespace {

using example::bytes_of;
using example::Folder;
using example::message_of;
using example::same;
using example::Sizes;
using example::write_bytes;
using testing::EndsWith;
using testing::HasSubstr;

/// One line of what read_with_h5py.py is to find.
std::string expect(const std::string& path, const std::string& shape, const std::vector<double>& values) {
  std::string line = fmt::format("{} [{}]", path, shape);
  for (const double x : values) line += fmt::format(" {:a}", x);
  return line + "\n";
}

bool python(const std::string& script, const std::string& arguments) {
  return std::system(
             fmt::format("/usr/bin/python3 {}/tests/files/{} {} > /dev/null", test::source_dir(), script, arguments)
                 .c_str()) == 0;
}

bool h5py_finds(const Folder& folder, const std::string& file, const std::string& expected) {
  write_bytes(folder / "expected.txt", expected);
  return python("read_with_h5py.py",
                fmt::format("{} {}", (folder / file).string(), (folder / "expected.txt").string()));
}

std::string expect_policy(const std::string& prefix, const TvLinearGaussian& policy) {
  const auto T = policy.horizon();
  const Index da = policy.action_dim(), ds = policy.observation_dim();
  std::vector<double> K, k, Sigma;
  for (int t = 0; t < T; ++t)
    for (Index i = 0; i < da; ++i) {
      k.push_back(policy[t].k[i]);
      for (Index j = 0; j < ds; ++j) K.push_back(policy[t].K(i, j));
      for (Index j = 0; j < da; ++j) Sigma.push_back(policy[t].Sigma(i, j));
    }
  return expect(prefix + "K", fmt::format("{},{},{}", T, da, ds), K) +
         expect(prefix + "k", fmt::format("{},{}", T, da), k) +
         expect(prefix + "Sigma", fmt::format("{},{},{}", T, da, da), Sigma);
}

TEST(PolicyFile, ReadsBackTheSameBits) {
  const Folder folder;
  for (const Sizes sizes :
       {Sizes{}, Sizes{.horizon = 1, .nx = 1, .ds = 1, .da = 1}, Sizes{.horizon = 70, .ds = 21, .da = 9}}) {
    const TvLinearGaussian policy = example::policy(sizes, 3);
    const PolicyInfo info = example::policy_info(sizes);
    save_policy(folder / "policy.h5", policy, info);
    const PolicyFile read = load_policy(folder / "policy.h5");
    EXPECT_TRUE(same(std::get<TvLinearGaussian>(read.policy), policy));
    EXPECT_EQ(read.info.task, info.task);
    EXPECT_EQ(read.info.observation_names, info.observation_names);
    EXPECT_EQ(read.info.action_names, info.action_names);
    EXPECT_EQ(read.info.action_low, info.action_low);
    EXPECT_EQ(read.info.action_high, info.action_high);
    EXPECT_EQ(bytes_of(folder / "policy.h5"), policy_bytes(policy, info)) << "equal contents are equal bytes";
  }
  save_policy(folder / "policy.h5", example::policy({}, 3), {});
  EXPECT_TRUE(load_policy(folder / "policy.h5").info.task.empty());
}

/// Parts are written by hand: one is left out, or has another shape, or a number that cannot be.
TEST(PolicyFile, OfANetworkIsRefusedWhereItDoesNotFit) {
  const Folder folder;
  struct Part {
    std::string name;
    hdf5::Shape shape;
  };
  const std::vector<Part> parts = {{"input_mean", {3}}, {"input_scale", {3}}, {"output_scale", {2}}, {"W1", {4, 3}},
                                   {"b1", {4}},         {"W2", {2, 4}},       {"log_std", {2}}};
  std::uint64_t clock = 0;
  double input_clip = 0.0;
  const auto outcome = [&](const std::string& activation,
                           const std::function<void(Part&, std::vector<double>&)>& change) {
    hdf5::Writer file;
    hdf5::GroupWriter root = file.root();
    root.attribute("kind", "mlp_gaussian");
    root.attribute("activation", activation);
    root.attribute("clock", clock);
    root.attribute("input_clip", input_clip);
    for (Part part : parts) {
      Index size = 1;
      for (const Index n : part.shape) size *= n;
      std::vector<double> values(static_cast<std::size_t>(size), 0.5);
      change(part, values);
      if (!part.name.empty()) root.dataset(part.name, values, part.shape);
    }
    write_bytes(folder / "policy.h5", hdf5::seal(file.image()));
    return message_of<InputError>([&] { static_cast<void>(load_policy(folder / "policy.h5")); });
  };
  EXPECT_EQ(outcome("tanh", [](Part&, auto&) {}), "nothing was thrown");
  EXPECT_THAT(outcome("relu", [](Part&, auto&) {}), HasSubstr("attribute activation: found \"relu\""));
  for (const Part& missing : parts)
    EXPECT_THAT(outcome("tanh",
                        [&](Part& p, auto&) {
                          if (p.name == missing.name) p.name.clear();
                        }),
                HasSubstr("dataset"))
        << missing.name;
  for (const char* name : {"input_scale", "W1", "W2", "log_std"})
    EXPECT_THAT(outcome("tanh",
                        [&](Part& p, std::vector<double>& values) {
                          if (p.name != name) return;
                          p.shape = {7};
                          values.assign(7, 0.5);
                        }),
                HasSubstr(fmt::format("dataset {}", name)));
  EXPECT_THAT(outcome("tanh",
                      [](Part& p, auto& values) {
                        if (p.name == "output_scale") values[1] = 0.0;
                      }),
              HasSubstr("policy.h5: "));
  clock = 5'000'000;
  EXPECT_THAT(outcome("tanh", [](Part&, auto&) {}), HasSubstr("attribute clock: found 5000000"));
  clock = 20;
  input_clip = -1.0;
  EXPECT_THAT(outcome("tanh", [](Part&, auto&) {}), HasSubstr("network input_clip = -1"));
  input_clip = 2.0;
  EXPECT_EQ(outcome("tanh", [](Part&, auto&) {}), "nothing was thrown");
}

TEST(PolicyFile, IsReadByH5py) {
  const Folder folder;
  const Sizes sizes;
  const TvLinearGaussian policy = example::policy(sizes, 3);
  save_policy(folder / "policy.h5", policy, example::policy_info(sizes));
  EXPECT_TRUE(
      h5py_finds(folder, "policy.h5",
                 expect_policy("", policy) +
                     "@kind tv_linear_gaussian\n@task example\n@observation_names s0 s1 s2\n@action_names a0 a1\n"
                     "@action_low -inf -inf\n@action_high 0x1.9p4 0x1.9p4\n"));
  EXPECT_FALSE(h5py_finds(folder, "policy.h5", "@kind something_else\n")) << "the script must be able to fail";
}

TEST(PolicyFile, AcceptsFilesOfOtherProgramsAndRefusesWrongContents) {
  const Folder folder;
  save_policy(folder / "edited.h5", example::policy({}, 3), {});
  ASSERT_TRUE(python("make_with_h5py.py", folder.path().string())) << "needs python3-h5py";

  for (const char* name : {"good_plain", "good_latest", "good_fixed_text", "good_single", "good_integer",
                           "good_compressed", "good_more"}) {
    const auto policy = std::get<TvLinearGaussian>(load_policy(folder / fmt::format("{}.h5", name)).policy);
    ASSERT_EQ(policy.horizon(), 4) << name;
    EXPECT_EQ(policy[3].K(1, 2), 23.0) << name;
    EXPECT_EQ(policy[3].K(1, 0), 21.0) << name;
    EXPECT_EQ(policy[2].k, Eigen::Vector2d(4.0, 5.0)) << name;
    EXPECT_EQ(policy[0].Sigma, (MatrixXd(2, 2) << 2.0, 0.5, 0.5, 1.0).finished()) << name;
  }
  EXPECT_EQ(load_policy(folder / "good_more.h5").info.observation_names.at(2), "c");
  EXPECT_EQ(std::get<TvLinearGaussian>(load_policy(folder / "edited.h5").policy)[1].k, Eigen::Vector2d(7.0, 7.0));

  const std::map<std::string, std::string> refusals = {
      {"bad_kind",
       "attribute kind: found \"mlp?gaussian\", expected \"tv_linear_gaussian\" or \"mlp_gaussian\" or \"dmp\" or "
       "\"contextual\""},
      {"bad_no_kind", "attribute kind: missing"},
      {"bad_kind_number", "attribute kind: found other than text, expected text"},
      {"bad_kind_two", "attribute kind: found 2 texts, expected one"},
      {"bad_no_K", "dataset K: missing"},
      {"bad_no_Sigma", "dataset Sigma: missing"},
      {"bad_K_rank", "dataset K: found [2, 3], expected [T, da, ds], all at least 1"},
      {"bad_K_scalar", "dataset K: found [], expected [T, da, ds], all at least 1"},
      {"bad_K_empty", "dataset K: found [0, 2, 3], expected [T, da, ds], all at least 1"},
      {"bad_K_null", "dataset K: is empty"},
      {"bad_K_group", "dataset K: found something else of this name, expected a dataset"},
      {"bad_K_text", "dataset K: found something else, expected numbers"},
      {"bad_K_complex", "dataset K: found something else, expected numbers"},
      {"bad_K_dangling", "dataset K: missing"},
      {"bad_K_nan", "dataset K: found nan at [2, 0, 1], expected finite numbers"},
      {"bad_K_huge", "dataset K: found [1000000, 1000, 10000], expected at most 134217728 entries"},
      {"bad_K_overflow", "dataset K: found [134217729, 134217729, 134217729], expected at most 134217728 entries"},
      {"bad_k_steps", "dataset k: found [3, 2], expected [4, 2]"},
      {"bad_k_inf", "dataset k: found -inf at [0, 0], expected finite numbers"},
      {"bad_Sigma_shape", "dataset Sigma: found [4, 2, 3], expected [4, 2, 2]"},
      {"bad_Sigma_asymmetric", "dataset Sigma: found a matrix that is not symmetric at step 0"},
      {"bad_Sigma_indefinite", "dataset Sigma: found a matrix that is not positive definite at step 0"},
      {"bad_Sigma_zero", "dataset Sigma: found a matrix that is not positive definite at step 0"},
      {"bad_limits", "attributes action_low, action_high: found 2 and 1 at [0], expected low < high"},
      {"bad_limits_nan", "attributes action_low, action_high: found nan and 1 at [0], expected low < high"},
      {"bad_limits_size", "attribute action_high: found 3 entries, expected 2"},
      {"bad_limits_one", "attribute action_high: missing"},
      {"bad_names", "attribute action_names: found 1 entries, expected 2"},
      {"bad_task", "attribute task: found other than text, expected text"},
      {"bad_longer", "is damaged: it is truncated or altered"},
      {"bad_shorter", "is damaged: it is truncated or altered"},
      {"bad_half", "is damaged: it is truncated or altered"},
      {"bad_text", "is not an HDF5 file"},
      {"bad_empty", "is empty"},
  };
  std::size_t made = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder.path()))
    if (entry.path().filename().string().starts_with("bad_")) ++made;
  EXPECT_EQ(made, refusals.size());
  for (const auto& [name, text] : refusals) {
    const auto file = folder / (name + ".h5");
    EXPECT_THAT(message_of<InputError>([&] { static_cast<void>(load_policy(file)); }),
                HasSubstr(file.string() + ": " + text));
  }
}

TEST(PolicyFile, OfKedgeIsRefusedWhenOneBitChanged) {
  const Folder folder;
  const auto file = folder / "policy.h5";
  const std::string whole = policy_bytes(example::policy({}, 3), example::policy_info({}));
  for (std::size_t at = 0; at < whole.size(); at += at < 600 || at + 100 > whole.size() ? 1 : 13) {
    std::string damaged = whole;
    damaged[at] = static_cast<char>(damaged[at] ^ (1 << (at % 8)));
    write_bytes(file, damaged);
    EXPECT_THROW(static_cast<void>(load_policy(file)), InputError) << at;
  }
  // Cut anywhere it is refused, but for the one place between contents and trailer: then the contents are whole.
  int accepted = 0;
  for (std::size_t length = 0; length<whole.size(); length += length + 200> whole.size() ? 1 : 17) {
    write_bytes(file, whole.substr(0, length));
    try {
      EXPECT_TRUE(same(std::get<TvLinearGaussian>(load_policy(file).policy), example::policy({}, 3)));
      ++accepted;
    } catch (const InputError&) {
    }
  }
  EXPECT_EQ(accepted, 1);
}

TEST(PolicyFile, OfAnotherKindIsRefused) {
  const Folder folder;
  CheckpointHeader header;
  header.identity = example::identity();
  save_checkpoint(folder / "file.h5", header, example::state({}, 2).fields, Durability::process);
  EXPECT_THAT(message_of<InputError>([&] { static_cast<void>(load_policy(folder / "file.h5")); }),
              EndsWith("file.h5: attribute kind: found \"checkpoint\", expected \"tv_linear_gaussian\" or "
                       "\"mlp_gaussian\" or \"dmp\" or \"contextual\""));
}

TEST(TrajectoryFile, IsReadByH5py) {
  const Folder folder;
  const Sizes sizes;
  const Batch batch = example::batch(sizes, 1);
  save_trajectories(folder / "t.h5", batch, "example", 0.066);
  const int N = batch.rollouts, T = batch.horizon;
  std::vector<double> state, observation, action, cost;
  for (int n = 0; n < N; ++n)
    for (int t = 0; t <= T; ++t) {
      for (const double x : batch.state.col(batch.at(n, t))) state.push_back(x);
      cost.push_back(batch.cost(t, n));
      if (t == T) continue;
      for (const double x : batch.observation.col(batch.at(n, t))) observation.push_back(x);
      for (const double x : batch.action.col(batch.step(n, t))) action.push_back(x);
    }
  EXPECT_TRUE(h5py_finds(folder, "t.h5",
                         expect("state", "3,4,4", state) + expect("observation", "3,3,3", observation) +
                             expect("action", "3,3,2", action) + expect("cost", "3,4", cost) +
                             "diverged_at [3] -1 0 -1\n@kind trajectories\n@task example\n" +
                             fmt::format("@control_step {:a}\n", 0.066)));
}

TEST(UpdatesFile, IsReadByH5py) {
  const Folder folder;
  UpdatesFile file(folder / "updates.h5");
  for (int i = 0; i < 3; ++i) file.append(example::record({}, i), Durability::process);
  std::string expected = "@kind updates\n";
  for (int i = 0; i < 3; ++i) {
    const UpdateRecord record = example::record({}, i);
    const std::string group = fmt::format("iteration_{:04d}/", i);
    std::vector<double> mean, cov, Qaa, Qas, qa, eta, omega, kl, entropy, beta;
    for (std::size_t t = 0; t < 3; ++t) {
      const auto rows = [](std::vector<double>& all, const MatrixXd& m) {
        for (Index r = 0; r < m.rows(); ++r)
          for (Index c = 0; c < m.cols(); ++c) all.push_back(m(r, c));
      };
      rows(mean, record.rho[t].mean);
      rows(cov, record.rho[t].cov);
      rows(Qaa, record.q[t].Qaa);
      rows(Qas, record.q[t].Qas);
      rows(qa, record.q[t].qa);
      eta.push_back(record.updates[t].eta);
      omega.push_back(record.updates[t].omega);
      kl.push_back(record.updates[t].kl);
      entropy.push_back(record.updates[t].entropy);
      beta.push_back(record.updates[t].beta);
    }
    expected += expect_policy(group + "old/", record.old_policy) + expect_policy(group + "new/", record.new_policy) +
                expect(group + "state_mean", "3,3", mean) + expect(group + "state_cov", "3,3,3", cov) +
                expect(group + "Qaa", "3,2,2", Qaa) + expect(group + "Qas", "3,2,3", Qas) +
                expect(group + "qa", "3,2", qa) + expect(group + "eta", "3", eta) +
                expect(group + "omega", "3", omega) + expect(group + "kl", "3", kl) +
                expect(group + "entropy", "3", entropy) + expect(group + "beta", "3", beta) +
                fmt::format("{}@epsilon {:a}\n", group, record.epsilon);
  }
  EXPECT_TRUE(h5py_finds(folder, "updates.h5", expected));
}

TEST(UpdatesFile, ContinuesToTheSameBytes) {
  const Folder folder;
  UpdatesFile reference(folder / "reference.h5");
  std::vector<std::string> bytes;
  reference.save(Durability::process);
  for (int i = 0; i < 5; ++i) {
    bytes.push_back(bytes_of(folder / "reference.h5"));
    reference.append(example::record({}, i), Durability::process);
  }
  bytes.push_back(bytes_of(folder / "reference.h5"));
  for (std::size_t there = 0; there <= 5; ++there)
    for (std::size_t from = 0; from <= there; ++from) {
      write_bytes(folder / "updates.h5", bytes[there]);
      UpdatesFile file(folder / "updates.h5", static_cast<int>(from));
      for (int i = static_cast<int>(from); i < 5; ++i) file.append(example::record({}, i), Durability::process);
      file.save(Durability::process);
      EXPECT_EQ(bytes_of(folder / "updates.h5"), bytes[5]) << there << " " << from;
    }
  reference.append(example::record({}, 5), Durability::process);
  reference.take_back();
  reference.save(Durability::process);
  EXPECT_EQ(bytes_of(folder / "reference.h5"), bytes[5]);
}

TEST(UpdatesFile, RefusesAFileWithoutTheIterations) {
  const Folder folder;
  UpdatesFile file(folder / "updates.h5");
  file.append(example::record({}, 0), Durability::process);
  const auto message = [&](int iterations) {
    return message_of<InputError>([&] { UpdatesFile again(folder / "updates.h5", iterations); });
  };
  EXPECT_THAT(message(2), EndsWith("updates.h5: group iteration_0001: missing"));
  write_bytes(folder / "updates.h5", bytes_of(folder / "updates.h5").substr(0, 3000));
  EXPECT_THAT(message(1), HasSubstr("updates.h5: is damaged"));
  write_bytes(folder / "updates.h5", policy_bytes(example::policy({}, 0), {}));
  EXPECT_THAT(message(0), EndsWith("updates.h5: attribute kind: found \"tv_linear_gaussian\", expected \"updates\""));
}

}  // namespace
}  // namespace kedge
