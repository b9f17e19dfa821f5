// Importance weights against brute-force densities, resuming, and the selection of samples.
#include "kedge/evaluation/importance_weights.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "data.h"

namespace kedge {
namespace {

using namespace kedge::test;

constexpr double inf = std::numeric_limits<double>::infinity();

// ---- weights -------------------------------------------------------------------------------------------------------

bool over_time(Reuse reuse) { return reuse == Reuse::time || reuse == Reuse::time_and_iterations; }
bool over_iterations(Reuse reuse) { return reuse == Reuse::iterations || reuse == Reuse::time_and_iterations; }

/// The definition at the head of importance_weights.h: for every stored sample, w_t normalised to sum 1, or 0.
std::vector<double> plain_weights(Reuse reuse, const Window& window, int t) {
  const Epoch& present = window.back();
  std::vector<long double> log_weight;
  for (const Epoch& data : window) {
    if (!over_iterations(reuse) && &data != &present) continue;
    for (int step = 0; step < data.batch.horizon; ++step)
      for (int n = 0; n < data.batch.rollouts; ++n) {
        if (!data.batch.usable(n)) continue;
        const VectorXd s = data.batch.observation.col(data.batch.at(n, step)),
                       a = data.batch.action.col(data.batch.step(n, step));
        const auto log_z = [&](const Epoch& epoch, int at) {
          return log_density(epoch.rho[static_cast<std::size_t>(at)], epoch.policy[at], s, a);
        };
        if (!over_time(reuse) && step != t) {
          log_weight.push_back(-inf);
        } else if (reuse == Reuse::none) {
          log_weight.push_back(0);
        } else {
          std::vector<long double> terms;
          for (const Epoch& epoch : window) {
            if (!over_iterations(reuse) && &epoch != &present) continue;
            const long double share = std::log(static_cast<long double>(usable_rollouts(epoch.batch)));
            for (int at = over_time(reuse) ? 0 : step; at < (over_time(reuse) ? data.batch.horizon : step + 1); ++at)
              terms.push_back(share + log_z(epoch, at));
          }
          const long double top = *std::max_element(terms.begin(), terms.end());
          long double sum = 0;
          for (const long double term : terms) sum += std::exp(term - top);
          log_weight.push_back(log_z(present, t) - top - std::log(sum));
        }
      }
  }
  const long double top = *std::max_element(log_weight.begin(), log_weight.end());
  long double sum = 0;
  for (const long double w : log_weight) sum += std::exp(w - top);
  std::vector<double> weight;
  for (const long double w : log_weight) weight.push_back(static_cast<double>(std::exp(w - top) / sum));
  return weight;
}

void expect_plain_weights(const WeightedSamples& samples, const std::vector<double>& plain) {
  double square = 0.0;
  for (const double w : plain) square += w * w;
  EXPECT_NEAR(samples.effective * square, 1.0, 1e-9);
  EXPECT_NEAR(samples.left_out, 0.0, 1e-14);
  std::vector<double> weight(plain.size(), 0.0);
  for (std::size_t k = 0; k < samples.row.size(); ++k)
    weight[static_cast<std::size_t>(samples.row[k])] = samples.weight[static_cast<Index>(k)];
  for (std::size_t k = 0; k < plain.size(); ++k) {
    const double tolerance = plain[k] > 1e-300 ? 1e-10 * plain[k] : 1e-300;
    EXPECT_NEAR(weight[k], plain[k], tolerance) << "sample " << k;
  }
}

constexpr Reuse kAll[] = {Reuse::none, Reuse::time, Reuse::iterations, Reuse::time_and_iterations};

TEST(SampleReuse, WeighsEverySampleByTheRatioOfItsDensities) {
  // Numbers of samples around the size of a tile, 32, and of rollouts beyond it; some diverged.
  const Sizes shapes[] = {
      {1, 1, 1, 2, 1, {}}, {2, 1, 5, 3, 1, {}}, {3, 2, 3, 11, 1, {2}}, {2, 2, 2, 16, 1, {}}, {2, 1, 2, 37, 1, {0, 36}}};
  for (const Reuse reuse : kAll)
    for (const Sizes& shape : shapes)
      for (const int epochs : {1, 3}) {
        SCOPED_TRACE(testing::Message() << "reuse " << static_cast<int>(reuse) << ", T " << shape.horizon << ", M "
                                        << shape.rollouts);
        Window window;
        SampleReuse sample_reuse(reuse, 4, 0.0);
        for (int i = 0; i < epochs; ++i) {
          Sizes sizes = shape;
          sizes.rollouts += i;  // iterations need not be of one size
          window.push_back(random_epoch(sizes, i, 21));
          sample_reuse.push(window.back(), 1);
        }
        for (int t = 0; t < shape.horizon; ++t)
          expect_plain_weights(sample_reuse.samples(t), plain_weights(reuse, window, t));
      }
}

/// Equal bit for bit.
void expect_same(const WeightedSamples& a, const WeightedSamples& b) {
  EXPECT_EQ(a.row, b.row);
  EXPECT_TRUE(same_bits(a.weight, b.weight));
  EXPECT_EQ(a.effective, b.effective);
  EXPECT_EQ(a.left_out, b.left_out);
}

TEST(SampleReuse, HasTheSameBitsWhenRebuiltFromTheWindow) {
  for (const Reuse reuse : kAll)
    for (const int window : {1, 2, 4}) {
      SampleReuse going_on(reuse, window, 1e-4);
      Window kept;
      for (int i = 0; i < 6; ++i) {
        kept.push_back(random_epoch({3, 2, 4, 9 + i % 3, 1, {}}, i, 22));
        if (static_cast<int>(kept.size()) > window) kept.pop_front();
        going_on.push(kept.back(), 1);
        SampleReuse rebuilt(reuse, window, 1e-4);
        for (const Epoch& epoch : kept) rebuilt.push(epoch, 1);
        for (int t = 0; t < 4; ++t) expect_same(going_on.samples(t), rebuilt.samples(t));
        ASSERT_EQ(going_on.data().size(), over_iterations(reuse) ? kept.size() : 1u);
        for (std::size_t d = 0; d < going_on.data().size(); ++d)
          EXPECT_TRUE(
              same_bits(going_on.data()[d].x, transitions(kept[kept.size() - going_on.data().size() + d].batch).x));
      }
    }
}

TEST(SampleReuse, IsTheSameForAnyNumberOfThreads) {
  for (const Reuse reuse : kAll) {
    SampleReuse one(reuse, 3, 1e-4), two(reuse, 3, 1e-4), eight(reuse, 3, 1e-4);
    for (int i = 0; i < 4; ++i) {
      const Epoch epoch = random_epoch({3, 2, 6, 17, 1, {3}}, i, 23);
      one.push(epoch, 1);
      two.push(epoch, 2);
      eight.push(epoch, 8);
    }
    for (int t = 0; t < 6; ++t) {
      expect_same(one.samples(t), two.samples(t));
      expect_same(one.samples(t), eight.samples(t));
    }
  }
}

TEST(SampleReuse, IsExactForWeightsFarApart) {
  // Policies so narrow and so far from each other that densities underflow: log weights differ by thousands.
  Window window;
  SampleReuse reuse(Reuse::time_and_iterations, 3, 0.0);
  for (int i = 0; i < 3; ++i) {
    Epoch epoch = random_epoch({2, 1, 3, 10, 1, {}}, i, 24);
    for (int t = 0; t < 3; ++t) {
      Stream random(24, static_cast<std::uint32_t>(i), 9, static_cast<std::uint32_t>(t));
      epoch.rho[static_cast<std::size_t>(t)] = random_gaussian(2, 1e-2, random);
      epoch.policy[t] = make_linear_gaussian(epoch.policy[t].K, epoch.policy[t].k, 1e-4 * epoch.policy[t].Sigma);
    }
    window.push_back(epoch);
    reuse.push(epoch, 1);
  }
  for (int t = 0; t < 3; ++t) {
    const WeightedSamples samples = reuse.samples(t);
    const std::vector<double> plain = plain_weights(Reuse::time_and_iterations, window, t);
    ASSERT_GT(samples.weight.size(), 0);
    EXPECT_NEAR(samples.weight.sum(), 1.0, 1e-12);
    for (std::size_t k = 0; k < samples.row.size(); ++k) {
      // log densities of order 1e5: eleven digits of them are five of the weight
      const double expected = plain[static_cast<std::size_t>(samples.row[k])];
      EXPECT_NEAR(samples.weight[static_cast<Index>(k)], expected, 1e-6 * expected + 1e-200);
    }
  }
}

TEST(SampleReuse, TurnsMeansOverAllSamplesIntoExpectationsUnderThePresentStep) {
  constexpr int T = 4;
  Stream random(25, 0, 0, 0);
  const NoisyLinear system = random_noisy_linear(2, 1, random);
  const Gaussian start = random_gaussian(2, 1.0, random);
  TvLinearGaussian policy = random_policy(T, 1, 2, random);
  SampleReuse reuse(Reuse::time_and_iterations, 3, 1e-4);
  std::vector<Gaussian> rho;
  for (int i = 0; i < 3; ++i) {
    const Epoch epoch = simulate(system, start, policy, 3000, i, 25);  // rho are the true distributions
    reuse.push(epoch, 2);
    rho = epoch.rho;
    if (i == 2) break;
    for (int t = 0; t < T; ++t) policy[t].k += 0.3 * policy[t].C * random_vector(1, random);
  }
  for (int t = 0; t < T; ++t) {
    const WeightedSamples samples = reuse.samples(t);
    EXPECT_GT(samples.effective, 3500);  // more than the 3000 of the present iteration at this step
    // E[s'a] and E[a^2] under rho_t pi_t
    const auto at = static_cast<std::size_t>(t);
    const LinearGaussian& pi = policy[t];
    const double mean_a = (pi.K * rho[at].mean + pi.k)[0];
    const VectorXd expected_sa = rho[at].cov * pi.K.transpose() + rho[at].mean * mean_a;
    const double expected_aa = (pi.K * rho[at].cov * pi.K.transpose() + pi.Sigma)(0, 0) + mean_a * mean_a;
    VectorXd sa = VectorXd::Zero(2);
    double aa = 0.0, variance = 0.0;
    std::vector<const Transitions*> data;
    for (const Transitions& d : reuse.data()) data.push_back(&d);
    for (std::size_t k = 0; k < samples.row.size(); ++k) {
      Index row = samples.row[k];
      std::size_t d = 0;
      while (row >= data[d]->size()) row -= data[d++]->size();
      const VectorXd x = data[d]->x.col(row);
      const double w = samples.weight[static_cast<Index>(k)];
      sa += w * x.head(2) * x[2];
      aa += w * x[2] * x[2];
      variance += w * w * std::pow(x[2] * x[2] - expected_aa, 2);
    }
    EXPECT_LT(std::abs(aa - expected_aa), 5 * std::sqrt(variance)) << "t = " << t;
    EXPECT_LT((sa - expected_sa).norm(), 0.1 * (1 + expected_sa.norm())) << "t = " << t;
  }
}

// ---- selection -----------------------------------------------------------------------------------------------------

VectorXd random_log_weights(Index n, double spread, std::uint32_t name) {
  Stream random(31, name, 0, 0);
  VectorXd w = spread * random_vector(n, random) - VectorXd::Constant(n, 1e4);
  for (Index i = 0; i < n; ++i)
    if (random.uniform() < 0.1) w[i] = -inf;
  if (n > 0) w[static_cast<Index>(random.bits() % static_cast<std::uint64_t>(n))] = -1e4 + 2 * spread;
  return w;
}

TEST(SelectSamples, LeavesOutTheLightestAndAtMostTheCutoff) {
  std::uint32_t name = 0;
  for (const Index n : {1, 2, 63, 64, 65, 200, 3001})
    for (const double spread : {0.0, 1.0, 10.0, 300.0})
      for (const double cutoff : {0.0, 1e-8, 1e-4, 0.1}) {
        SCOPED_TRACE(testing::Message() << n << " samples, spread " << spread << ", cutoff " << cutoff);
        const VectorXd log_weight = random_log_weights(n, spread, name++);
        const double top = log_weight.maxCoeff();
        const Eigen::ArrayXd w = (log_weight.array() - top).exp();
        const WeightedSamples samples = select_samples(log_weight, cutoff);

        ASSERT_EQ(static_cast<Index>(samples.row.size()), samples.weight.size());
        ASSERT_GT(samples.weight.size(), 0);
        EXPECT_TRUE(std::is_sorted(samples.row.begin(), samples.row.end()));
        EXPECT_TRUE(std::adjacent_find(samples.row.begin(), samples.row.end()) == samples.row.end());
        EXPECT_GT(samples.weight.minCoeff(), 0.0);
        EXPECT_NEAR(samples.weight.sum(), 1.0, 1e-12);

        double kept = 0.0, lightest_kept = inf;
        std::vector<char> is_kept(static_cast<std::size_t>(n), 0);
        for (const Index row : samples.row) {
          kept += w[row];
          lightest_kept = std::min(lightest_kept, w[row]);
          is_kept[static_cast<std::size_t>(row)] = 1;
        }
        double left_out = 0.0;
        for (Index i = 0; i < n; ++i)
          if (!is_kept[static_cast<std::size_t>(i)]) {
            left_out += w[i];
            EXPECT_LE(w[i], lightest_kept);
          }
        left_out /= w.sum();
        EXPECT_LE(left_out, cutoff * (1 + 1e-12) + 1e-300);
        EXPECT_LE(samples.left_out, left_out + 1e-12);  // without those too light to be looked at
        EXPECT_GE(samples.left_out, left_out - 0.5 * cutoff - 1e-12);
        for (std::size_t k = 0; k < samples.row.size(); ++k)
          EXPECT_NEAR(samples.weight[static_cast<Index>(k)], w[samples.row[k]] / kept,
                      1e-12 * w[samples.row[k]] / kept);
        const double effective = w.sum() * w.sum() / w.square().sum();
        EXPECT_NEAR(samples.effective / effective, 1.0, 1e-12 + cutoff);
      }
}

TEST(SelectSamples, WithoutACutoffKeepsEveryWeightThatIsNotZero) {
  const VectorXd log_weight = random_log_weights(500, 10.0, 77);
  const WeightedSamples samples = select_samples(log_weight, 0.0);
  Index finite = 0;
  for (Index i = 0; i < 500; ++i) finite += std::isfinite(log_weight[i]);
  EXPECT_EQ(samples.weight.size(), finite);
  EXPECT_LT(finite, 500);
}

TEST(SelectSamples, LeavesOutMostOfALongTail) {
  // n_i ~ exp(-i/20): 99.99 % of the weight lies in the first 184 of 2000.
  VectorXd log_weight(2000);
  for (Index i = 0; i < 2000; ++i) log_weight[i] = -static_cast<double>(i) / 20.0;
  const WeightedSamples samples = select_samples(log_weight, 1e-4);
  EXPECT_GE(samples.weight.size(), 184);
  EXPECT_LE(samples.weight.size(), 220);
}

TEST(SelectSamples, KeepsAllEqualWeights) {
  const WeightedSamples samples = select_samples(VectorXd::Constant(100, -5e5), 0.1);
  EXPECT_EQ(samples.weight.size(), 100);
  EXPECT_DOUBLE_EQ(samples.effective, 100.0);
  EXPECT_EQ(samples.left_out, 0.0);
}

TEST(SelectSamples, SelectsNothingFromEmptyInput) {
  for (const double cutoff : {0.0, 1e-4}) {
    for (const VectorXd& log_weight :
         {VectorXd(0), VectorXd(VectorXd::Constant(3, -inf)), VectorXd(VectorXd::Constant(100, -inf))}) {
      const WeightedSamples samples = select_samples(log_weight, cutoff);
      EXPECT_TRUE(samples.row.empty());
      EXPECT_EQ(samples.weight.size(), 0);
      EXPECT_EQ(samples.effective, 0.0);
    }
  }
}

}  // namespace
}  // namespace kedge
