// Exported controllers act as kedge does: C to the last bit, the others but for rounding.
#include "kedge/export/export.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <array>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <limits>
#include <sstream>

#include "kedge/core/errors.h"
#include "kedge/files/policy_file.h"
#include "kedge/math/vectors.h"
#include "kedge/rollout/rollout.h"
#include "kedge/tasks/bundled.h"
#include "tests/support/policies.h"
#include "tests/support/source_dir.h"
#include "tests/support/temporary_folder.h"

namespace kedge {
namespace {

using testing::HasSubstr;
using testing::Not;

constexpr double kInfinity = std::numeric_limits<double>::infinity();

struct Outcome {
  int code = -1;
  std::string printed;  ///< stdout and stderr
};

Outcome run(const std::string& command) {
  Outcome outcome;
  std::FILE* pipe = ::popen((command + " 2>&1").c_str(), "r");
  std::array<char, 4096> part{};
  for (std::size_t n; (n = std::fread(part.data(), 1, part.size(), pipe)) > 0;) outcome.printed.append(part.data(), n);
  const int status = ::pclose(pipe);
  outcome.code = WIFEXITED(status) ? WEXITSTATUS(status) : 128;
  return outcome;
}

/// A policy with what it is asked and what kedge answers.
struct Case {
  PolicyFile file;
  VectorXd x0;                     ///< initial state
  std::unique_ptr<Policy> chosen;  ///< of the episode; null: the policy itself
  std::vector<int> t;              ///< [N]
  MatrixXd s;                      ///< [ds, N]
  MatrixXd mean, action;           ///< [da, N]

  [[nodiscard]] const Policy& policy() const { return chosen ? *chosen : as_policy(file.policy); }
  [[nodiscard]] bool contextual() const { return std::holds_alternative<ContextualPolicy>(file.policy); }
};

bool exportable(const AnyPolicy& policy) {
  const auto* contextual = std::get_if<ContextualPolicy>(&policy);
  return contextual == nullptr || !std::holds_alternative<DmpPolicy>(contextual->middle());
}

/// @param s [ds, N] observations
Case ask(AnyPolicy policy, const MatrixXd& s, VectorXd low, VectorXd high) {
  Case c{{std::move(policy), {}}, VectorXd::LinSpaced(6, -1.0, 2.0), nullptr, {}, s, {}, {}};
  c.chosen = as_policy(c.file.policy).for_episode(c.x0, {});
  const Index da = c.policy().action_dim();
  c.mean = c.action = MatrixXd(da, s.cols());
  for (Index n = 0; n < s.cols(); ++n) {
    c.t.push_back(static_cast<int>(n) % std::min(c.policy().horizon(), 1000));
    c.policy().mean(c.t.back(), s.col(n), c.mean.col(n));
    for (Index i = 0; i < da; ++i)
      c.action(i, n) = low.size() > 0 ? std::clamp(c.mean(i, n), low[i], high[i]) : c.mean(i, n);
  }
  c.file.info.action_low = std::move(low);
  c.file.info.action_high = std::move(high);
  return c;
}

/// Every example of every kind, with and without limits, small and large observations.
std::vector<Case> cases() {
  Stream random(3, 0, 0, 0);
  std::vector<Case> all;
  for (AnyPolicy& policy : test::all_examples()) {
    if (!exportable(policy)) continue;
    MatrixXd s = test::random_matrix(as_policy(policy).observation_dim(), 60, random);
    s.rightCols(20) *= 30.0;
    const bool limits = all.size() % 3 != 0;
    const VectorXd low = limits ? VectorXd{{-kInfinity, -1.0}} : VectorXd(), high = limits ? VectorXd{{0.5, 2.0}} : low;
    all.push_back(ask(std::move(policy), s, low, high));
  }
  return all;
}

std::string c_text(const Case& c, const std::string& prefix) { return find_export_format("c").text(c.file, prefix); }

/// A program that asks the controller of case i with the numbers of input i and prints what it answers.
std::string c_program(const std::vector<Case>& all) {
  std::string includes = "#include <stdio.h>\n", body;
  for (std::size_t i = 0; i < all.size(); ++i) {
    const char* episode = all[i].contextual() ? "&e, " : "";
    includes += fmt::format("#include \"p{}.h\"\n", i);
    body += fmt::format(R"(  {{
    double x0[6], s[P{0}_OBSERVATIONS], a[P{0}_ACTIONS];
    int n, t;
    {2}
    if (fread(x0, 8, 6, stdin) != 6 || fread(&n, 4, 1, stdin) != 1) return 1;
    {3}
    while (n-- > 0) {{
      if (fread(&t, 4, 1, stdin) != 1 || fread(s, 8, P{0}_OBSERVATIONS, stdin) != P{0}_OBSERVATIONS) return 1;
      if (p{0}_mean({1}t, s, a)) return 1;
      fwrite(a, 8, P{0}_ACTIONS, stdout);
      if (p{0}_action({1}t, s, a)) return 1;
      fwrite(a, 8, P{0}_ACTIONS, stdout);
    }}
    a[0] = 77.0;
    if (p{0}_action({1}-1, s, a) != -1 || a[0] != 77.0) return 2;
)",
                        i, episode, all[i].contextual() ? fmt::format("p{}_episode e;", i) : "",
                        all[i].contextual() ? fmt::format("p{}_start(x0, &e);", i) : "");
    if (all[i].policy().horizon() < kEndless)
      body += fmt::format("    if (p{0}_action({1}P{0}_STEPS, s, a) != -1 || a[0] != 77.0) return 2;\n", i, episode);
    body += "  }\n";
  }
  return includes + "int main(void) {\n" + body + "  return 0;\n}\n";
}

template <class T>
void append(std::string& bytes, const T* values, Index count) {
  bytes.append(reinterpret_cast<const char*>(values), sizeof(T) * static_cast<std::size_t>(count));
}

std::string c_input(const std::vector<Case>& all) {
  std::string bytes;
  for (const Case& c : all) {
    const int n = static_cast<int>(c.t.size());
    append(bytes, c.x0.data(), 6);
    append(bytes, &n, 1);
    for (int i = 0; i < n; ++i) {
      append(bytes, &c.t[static_cast<std::size_t>(i)], 1);
      append(bytes, c.s.col(i).data(), c.s.rows());
    }
  }
  return bytes;
}

/// Compiles the headers in one program and returns its answers [mean; action] of each case.
std::vector<MatrixXd> answers_in_c(const std::vector<Case>& all, const TemporaryFolder& folder) {
  for (std::size_t i = 0; i < all.size(); ++i)
    folder.write(fmt::format("p{}.h", i), c_text(all[i], fmt::format("p{}", i)));
  folder.write("main.c", c_program(all));
  folder.write("input", c_input(all));
  const std::string program = folder.path("program"), source = folder.path("main.c");
  const Outcome built =
      run(fmt::format("cc -std=c99 -Wall -Wextra -Wpedantic -Wconversion -Werror -O1 -o {} {} -lm", program, source));
  EXPECT_EQ(built.code, 0) << built.printed;
  const Outcome ran = run(fmt::format("{} < {} > {}", program, folder.path("input"), folder.path("output")));
  EXPECT_EQ(ran.code, 0) << ran.printed;
  std::ifstream output(folder.path("output"), std::ios::binary);
  std::vector<MatrixXd> answers;
  for (const Case& c : all) {
    MatrixXd& a = answers.emplace_back(2 * c.mean.rows(), c.mean.cols());
    output.read(reinterpret_cast<char*>(a.data()), static_cast<std::streamsize>(sizeof(double)) * a.size());
    EXPECT_TRUE(output) << "the program printed less";
  }
  return answers;
}

MatrixXd expected_of(const Case& c) {
  MatrixXd expected(2 * c.mean.rows(), c.mean.cols());
  expected << c.mean, c.action;
  return expected;
}

bool is_network(const AnyPolicy& policy) { return std::holds_alternative<MlpGaussian>(policy); }

TEST(ExportToC, ActsAsKedgeToTheLastBit) {
  const TemporaryFolder folder;
  const std::vector<Case> all = cases();
  ASSERT_GE(all.size(), 16u);
  const std::vector<MatrixXd> answers = answers_in_c(all, folder);
  for (std::size_t i = 0; i < all.size(); ++i) {
    const Case& c = all[i];
    const MatrixXd expected = expected_of(c);
    const bool rounded = c.contextual() || (is_network(c.file.policy) && vectors_in_use() == "portable");
    if (rounded)
      EXPECT_LT((answers[i] - expected).cwiseAbs().maxCoeff(), 1e-12 * (1 + expected.cwiseAbs().maxCoeff())) << i;
    else
      EXPECT_TRUE(test::same_bits(answers[i], expected)) << "case " << i << ", " << policy_kind(c.file.policy);
  }
}

TEST(ExportToC, ActsAsKedgeOnRecordedObservations) {
  const Task task = load_task(find_task("double_link")).task;
  Stream random(5, 0, 0, 0);
  std::vector<LinearGaussian> steps;
  for (int t = 0; t < task.horizon; ++t)
    steps.push_back(make_linear_gaussian(test::random_matrix(2, 4, random), test::random_vector(2, random),
                                         100.0 * MatrixXd::Identity(2, 2)));
  const TvLinearGaussian gains(std::move(steps));
  const NetworkShape shape{.hidden = {20, 7},
                           .activation = Activation::tanh,
                           .output_bias = true,
                           .input_mean = VectorXd::Constant(5, 0.3),
                           .input_scale = VectorXd::Constant(5, 1.7),
                           .output_scale = VectorXd::Constant(2, 25.0)};
  const MlpGaussian network(shape, random_theta(shape, VectorXd::Zero(2), random, 0.5, 0.5), task.horizon);
  const Batch batch = *rollout(task, gains, {.rollouts = 5}, kedge::Run{});
  MatrixXd s(task.ds(), 0);
  for (int n = 0; n < 5; ++n) {  // step t of the batch is asked at step t
    s.conservativeResize(Eigen::NoChange, s.cols() + task.horizon);
    s.rightCols(task.horizon) = batch.observation.middleCols(batch.at(n, 0), task.horizon);
  }
  std::vector<Case> all;
  all.push_back(ask(gains, s, task.action_low, task.action_high));
  all.push_back(ask(network, s, task.action_low, task.action_high));
  const TemporaryFolder folder;
  const std::vector<MatrixXd> answers = answers_in_c(all, folder);
  for (std::size_t i = 0; i < 2; ++i) {
    EXPECT_TRUE(all[i].mean != all[i].action) << "some actions are limited";
    if (i == 0 || vectors_in_use() != "portable") {
      EXPECT_TRUE(test::same_bits(answers[i], expected_of(all[i]))) << i;
    }
  }
}

TEST(ExportToC, IsCPlusPlusToo) {
  const TemporaryFolder folder;
  std::string includes;
  std::size_t i = 0;
  for (const Case& c : cases()) {
    includes += "#include \"" + folder.write(fmt::format("p{}.h", i), c_text(c, fmt::format("p{}", i))) + "\"\n";
    ++i;
  }
  const Outcome built = run(fmt::format("c++ -std=c++17 -fsyntax-only {}", folder.write("main.cpp", includes)));
  EXPECT_EQ(built.code, 0) << built.printed;
}

TEST(ExportToC, TextsOfTheFileStayInsideTheComment) {
  Case c = std::move(cases().front());
  c.file.info.task = "a */ #error */";
  c.file.info.observation_names = {"x*/\n#error", "y\\", "z?\?/"};
  const std::string text = c_text(c, "p");
  const std::string comment = text.substr(0, text.find("*/") + 2);
  EXPECT_THAT(text.substr(comment.size()), testing::StartsWith("\n#ifndef P_POLICY_H"));
  EXPECT_THAT(text.substr(comment.size()), Not(HasSubstr("#error")));
  EXPECT_THAT(comment, Not(HasSubstr("\\")));
  EXPECT_THAT(comment, Not(HasSubstr("??")));
}

TEST(Export, NamesAreIdentifiers) {
  PolicyInfo info;
  EXPECT_EQ(export_prefix(info), "policy");
  info.task = "3 links";
  EXPECT_EQ(export_prefix(info), "policy_3_links");
  info.task = "double-link";
  EXPECT_EQ(export_prefix(info), "double_link");
  EXPECT_NO_THROW(require_prefix("a1_b"));
  for (const char* wrong : {"", "1a", "_a", "a-b", "a b", "\xc3\xa4"}) EXPECT_THROW(require_prefix(wrong), InputError);
}

TEST(Export, RefusesWhatAFormatCannotHold) {
  EXPECT_THROW((void)find_export_format("matlab"), InputError);
  const AnyPolicy movement = test::examples(std::type_identity<ContextualPolicy>()).back();
  for (const char* format : {"c", "onnx", "python"}) {
    try {
      (void)find_export_format(format).text({movement, {}}, "p");
      ADD_FAILURE() << format;
    } catch (const InputError& error) {
      EXPECT_THAT(error.what(), HasSubstr("must be json"));
    }
  }
  EXPECT_NO_THROW((void)find_export_format("json").text({movement, {}}, "p"));
  TvLinearGaussian large = test::examples(std::type_identity<TvLinearGaussian>()).front();
  large[0].K(0, 0) = 1e39;
  EXPECT_THROW((void)find_export_format("onnx").text({large, {}}, "p"), InputError);
  NetworkShape narrow{.hidden = {2},
                      .input_mean = VectorXd::Zero(1),
                      .input_scale = VectorXd::Constant(1, 1e-50),
                      .output_scale = VectorXd::Ones(1)};
  const MlpGaussian divides(narrow, VectorXd::Zero(parameter_count(narrow)));
  EXPECT_THROW((void)find_export_format("onnx").text({divides, {}}, "p"), InputError) << "it would divide by 0";
}

/// Files and what they have to answer, for check_exports.py: case i is i.py, i.onnx, i.json, i.h5 and i.txt, one line each of
/// sizes, initial state and, for every n, t, s, mean and action.
void write_cases(const TemporaryFolder& folder) {
  std::size_t i = 0;
  for (const Case& c : cases()) {
    for (const auto& [format, ending] : {std::pair{"python", "py"}, {"onnx", "onnx"}, {"json", "json"}})
      folder.write(fmt::format("{}.{}", i, ending), find_export_format(format).text(c.file, "p"));
    save_policy(folder.path(fmt::format("{}.h5", i)), c.file.policy, c.file.info, Durability::process);
    std::string text = fmt::format("{} {}\n{}\n", c.s.rows(), c.mean.rows(), fmt::join(c.x0, " "));
    for (Index n = 0; n < c.s.cols(); ++n)
      text += fmt::format("{} {} {} {}\n", c.t[static_cast<std::size_t>(n)], fmt::join(c.s.col(n), " "),
                          fmt::join(c.mean.col(n), " "), fmt::join(c.action.col(n), " "));
    folder.write(fmt::format("{}.txt", i), text);
    ++i;
  }
  for (const AnyPolicy& policy : test::all_examples()) {  // what cannot act elsewhere can still be read
    if (exportable(policy)) continue;
    folder.write(fmt::format("{}.json", i), policy_as_json(policy, {}));
    save_policy(folder.path(fmt::format("{}.h5", i)), policy, {}, Durability::process);
    ++i;
  }
}

class ExportedFiles : public testing::TestWithParam<const char*> {};

TEST_P(ExportedFiles, ActAsKedgeButForRounding) {
  const TemporaryFolder folder;
  write_cases(folder);
  const bool onnx = GetParam() == std::string("onnx");  // the others need no more than Debian's packages
  const Outcome outcome =
      run(fmt::format("{} {}/tests/export/check_exports.py {} {}", onnx ? KEDGE_PYTHON : KEDGE_SYSTEM_PYTHON,
                      test::source_dir(), folder.path(""), GetParam()));
  if (outcome.code == 77) GTEST_SKIP() << outcome.printed;
  EXPECT_EQ(outcome.code, 0) << outcome.printed;
}

INSTANTIATE_TEST_SUITE_P(Formats, ExportedFiles, testing::Values("python", "onnx", "json"),
                         [](const auto& test) { return test.param; });

}  // namespace
}  // namespace kedge
