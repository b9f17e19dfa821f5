// Replay pages of the newest policies of runs, made one at a time on a separate thread, so that other requests do not
// wait for them.
#pragma once

#include <chrono>
#include <condition_variable>
#include <deque>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>

#include "kedge/pages/run_view.h"

namespace kedge {

class NewestReplays {
 public:
  using Clock = std::chrono::steady_clock;

  /// Makes the page of a run's newest policy. Called on the thread of this class; must return soon after `stop`.
  /// @throws InputError if the run has none
  using Maker = std::function<std::string(const std::filesystem::path& directory, const std::stop_token& stop)>;

  /// A page, or the reason why there is none.
  struct Result {
    std::shared_ptr<const std::string> page;
    std::string failure;
    bool asked_wrongly = false;  ///< the failure is an InputError
  };

  explicit NewestReplays(Maker maker) : maker_(std::move(maker)) {}
  ~NewestReplays() = default;  // asks the thread to stop, and waits for it
  NewestReplays(const NewestReplays&) = delete;
  NewestReplays& operator=(const NewestReplays&) = delete;

  /// Returns the result for a policy; nullopt while it is being made. It is made once for each policy. Where policies come
  /// faster than pages, a page that was begun after `since` is returned.
  /// @param policy  stamp of the newest policy that is known
  std::optional<Result> ask(std::size_t run, const std::filesystem::path& directory, const FileStamp& policy,
                            Clock::time_point since);

 private:
  struct Job {
    std::size_t run = 0;
    std::filesystem::path directory;
    FileStamp policy;
  };
  struct Made {
    FileStamp policy;
    Clock::time_point begun;
    Result result;
  };
  void work(const std::stop_token& stop);
  [[nodiscard]] Result make(const Job& job, const std::stop_token& stop) const;

  Maker maker_;
  std::mutex guard_;
  std::condition_variable_any news_;
  std::deque<Job> waiting_;           ///< the first is being made
  std::map<std::size_t, Made> made_;  ///< by run
  std::jthread worker_;
};

}  // namespace kedge
