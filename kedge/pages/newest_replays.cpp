#include "kedge/pages/newest_replays.h"

#include <algorithm>

#include "kedge/core/errors.h"

namespace kedge {

std::optional<NewestReplays::Result> NewestReplays::ask(std::size_t run, const std::filesystem::path& directory,
                                                        const FileStamp& policy, Clock::time_point since) {
  const std::lock_guard lock(guard_);
  if (const auto made = made_.find(run); made != made_.end())
    if (made->second.policy == policy || made->second.begun >= since) return made->second.result;
  if (std::ranges::find(waiting_, run, &Job::run) == waiting_.end()) {
    waiting_.push_back({run, directory, policy});
    if (!worker_.joinable()) worker_ = std::jthread([this](const std::stop_token& stop) { work(stop); });
    news_.notify_one();
  }
  return std::nullopt;
}

void NewestReplays::work(const std::stop_token& stop) {
  std::unique_lock lock(guard_);
  while (news_.wait(lock, stop, [this] { return !waiting_.empty(); }) && !stop.stop_requested()) {
    const Job job = waiting_.front();
    const Clock::time_point begun = Clock::now();
    lock.unlock();
    Result result = make(job, stop);
    lock.lock();
    made_[job.run] = {job.policy, begun, std::move(result)};
    waiting_.pop_front();
  }
}

NewestReplays::Result NewestReplays::make(const Job& job, const std::stop_token& stop) const {
  try {
    return {std::make_shared<const std::string>(maker_(job.directory, stop)), "", false};
  } catch (const InputError& e) {
    return {nullptr, e.what(), true};
  } catch (const std::exception& e) {
    return {nullptr, in_words(e), false};
  }
}

}  // namespace kedge
