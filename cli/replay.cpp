#include "kedge/pages/replay.h"

#include <fmt/format.h>

#include <memory>

#include "kedge/core/errors.h"
#include "kedge/files/atomic_file.h"
#include "kedge/pages/embedded.h"
#include "kedge/pages/film.h"
#include "verbs.h"

namespace kedge::cli {

namespace {

struct Arguments {
  std::string what, task, page, strip, video, frames = "6", iterations, rollouts = "4", seed = "1", threads;
  std::vector<std::string> set;
  bool deterministic = false, play = false;
};

int replay(const Arguments& a) {
  ReplayOptions options;
  options.iterations = a.iterations;
  options.shown = static_cast<int>(whole_number("--rollouts", a.rollouts, 1, 1000));
  options.seed = static_cast<std::uint64_t>(whole_number("--seed", a.seed, 0));
  options.deterministic = a.deterministic;
  options.threads = thread_count(a.threads);
  const int frames = static_cast<int>(whole_number("--frames", a.frames, 1, 64));
  if (a.page.empty() && a.strip.empty() && a.video.empty())
    throw InputError("nothing to write: give -o FILE.html, --png FILE.png or --mp4 FILE.mp4");
  if (!a.page.empty()) page("replay.html");  // before work starts: are there pages?
  const Replay made = make_replay(find_subject(a.what, a.task, a.set), options);
  if (!a.page.empty()) {
    const std::string html = replay_page(made, a.play);
    write_file(a.page, html, Durability::process);
    if (a.play)
      for (const std::string& warning : made.subject.task.warnings) fmt::print(stderr, "kedge: warning: {}\n", warning);
    const std::size_t policies = made.policies.size();
    fmt::print("{}: {} polic{} of {}, {} rollouts each, {:.1f} MB; open it in a browser\n", a.page, policies,
               policies == 1 ? "y" : "ies", a.what, made.shown, static_cast<double>(html.size()) / 1e6);
  }
  if (!a.strip.empty()) {
    write_file(a.strip, png_bytes(film_strip(made, frames)), Durability::process);
    fmt::print("{}: {} frames of the first rollout\n", a.strip, frames);
  }
  if (!a.video.empty()) {
    write_video(a.video, made);
    fmt::print("{}: video of the first rollout\n", a.video);
  }
  return kDone;
}

}  // namespace

std::function<int()> add_replay(CLI::App& app) {
  auto a = std::make_shared<Arguments>();
  app.add_option("what", a->what, "a run's directory, or a policy file")->type_name("DIR|POLICY.h5")->required();
  app.add_option("-o,--output", a->page, "write a page for the browser")->type_name("FILE.html");
  app.add_option("--png", a->strip, "write a film strip of one rollout")->type_name("FILE.png");
  app.add_option("--frames", a->frames, "moments in the film strip")->type_name("N")->capture_default_str();
  app.add_option("--mp4", a->video, "write a video of one rollout (needs ffmpeg)")->type_name("FILE.mp4");
  app.add_option("--iterations", a->iterations,
                 "policies to show: first, best, last, all, or numbers, separated by commas (default: some of all)")
      ->type_name("LIST");
  app.add_option("--rollouts", a->rollouts, "rollouts to show of each policy")->type_name("N")->capture_default_str();
  app.add_option("--seed", a->seed, "of starts and noise, as of `kedge evaluate`")
      ->type_name("N")
      ->capture_default_str();
  app.add_flag("--deterministic", a->deterministic, "the mean action, without exploration noise");
  app.add_flag("--play", a->play, "with MuJoCo inside: the policy runs in the browser, and can be pushed");
  app.add_option("--task", a->task, "task to run on (default: the run's own)")->type_name("TASK");
  app.add_option("--set", a->set, "change the task, e.g. --set task.actions.limit=10")
      ->type_name("KEY=VALUE")
      ->allow_extra_args(false);
  app.add_option("--threads", a->threads, "worker threads; the results do not depend on it (default: all cores)")
      ->type_name("N");
  return [a] { return replay(*a); };
}

}  // namespace kedge::cli
