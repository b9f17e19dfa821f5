#include "tests/support/fuzz.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>

namespace kedge::test {

namespace {

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines(1);
  for (const char c : text)
    if (c == '\n')
      lines.emplace_back();
    else
      lines.back() += c;
  return lines;
}

}  // namespace

const std::vector<std::string>& toml_values() {
  static const std::vector<std::string> values = {"0",
                                                  "-1",
                                                  "1e308",
                                                  "-1e-308",
                                                  "nan",
                                                  "inf",
                                                  "-inf",
                                                  "9223372036854775807",
                                                  "-9223372036854775808",
                                                  "1.5",
                                                  "true",
                                                  "\"\"",
                                                  "\".\"",
                                                  "\"\\u0000\"",
                                                  "\"\\n\"",
                                                  "'''\n\n'''",
                                                  "0x7f",
                                                  "1_000",
                                                  "1979-05-27",
                                                  "[]",
                                                  "[[]]",
                                                  "[[[1]]]",
                                                  "{}",
                                                  "[1, 2]",
                                                  "[1, 2, 3, 4, 5]",
                                                  "[nan]",
                                                  "[ [ 1 ], 2, \"x\" ]",
                                                  "{ a = { b = { c = 1 } } }"};
  return values;
}

std::string Mutator::mutate(std::string text) {
  for (std::size_t n = 1 + below(4); n > 0; --n) text = once(std::move(text));
  return text;
}

std::string Mutator::mutate_bytes(std::string bytes) {
  if (bytes.empty()) return bytes;
  switch (below(6)) {
    case 0: bytes.erase(below(bytes.size()), 1 + below(16)); break;
    case 1: {
      const std::size_t from = below(bytes.size());
      bytes.insert(below(bytes.size()), bytes.substr(from, 1 + below(16)));
      break;
    }
    case 2: {  // a number of 8 bytes, as binary files have them
      const std::size_t at = below(bytes.size());
      const std::uint64_t number = below(2) ? ~std::uint64_t{0} >> below(64) : std::uint64_t{1} << below(64);
      for (std::size_t i = 0; i < sizeof number && at + i < bytes.size(); ++i)
        bytes[at + i] = static_cast<char>(number >> (8 * i));
      break;
    }
    default:
      for (std::size_t n = 1 + below(3); n > 0; --n) bytes[below(bytes.size())] = static_cast<char>(noise_.bits());
  }
  return bytes;
}

std::string Mutator::once(std::string text) {
  std::vector<std::string> lines = lines_of(text);
  switch (below(11)) {
    case 0: lines[below(lines.size())].clear(); break;
    case 1:
      lines.insert(lines.begin() + static_cast<std::ptrdiff_t>(below(lines.size())), lines[below(lines.size())]);
      break;
    case 2: std::swap(lines[below(lines.size())], lines[below(lines.size())]); break;
    case 3: lines.push_back(one_of(pieces_.keys) + " = " + one_of(pieces_.values)); break;
    case 4: lines.resize(below(lines.size() + 1)); break;
    default: change_line(lines[below(lines.size())]);
  }
  std::string joined;
  for (const std::string& each : lines) joined += each + "\n";
  return joined;
}

void Mutator::change_line(std::string& line) {
  const std::size_t equals = line.find('=');
  switch (below(6)) {
    case 0:  // another value
      if (equals != std::string::npos) line = line.substr(0, equals + 1) + " " + one_of(pieces_.values);
      break;
    case 1:  // another key
      if (equals != std::string::npos) line = one_of(pieces_.keys) + " " + line.substr(equals);
      break;
    case 2:  // another section
      if (line.starts_with("["))
        line = below(2) ? "[[" + one_of(pieces_.keys) + "]]" : "[" + one_of(pieces_.keys) + "]";
      break;
    case 3:  // bytes
      for (std::size_t n = 1 + below(3); n > 0 && !line.empty(); --n)
        line[below(line.size())] = static_cast<char>(noise_.bits());
      break;
    case 4:  // without a piece
      if (!line.empty()) line.erase(below(line.size()), 1 + below(6));
      break;
    case 5:  // with a value in the middle
      line.insert(below(line.size() + 1), one_of(pieces_.values));
      break;
  }
}

double environment(const char* name, double otherwise) {
  const char* text = std::getenv(name);
  return text ? std::atof(text) : otherwise;
}

std::uint32_t fuzz(std::uint32_t least, const Pieces& pieces,
                   const std::function<void(Mutator& mutator, std::uint32_t number)>& attempt) {
  using Clock = std::chrono::steady_clock;
  constexpr unsigned hang = 600;  // seconds, on a busy machine
  const auto end = Clock::now() + std::chrono::duration<double>(environment("KEDGE_FUZZ_SECONDS", 2.0));
  const auto seed = static_cast<std::uint64_t>(environment("KEDGE_FUZZ_SEED", 0.0));
  std::uint32_t cases = 0;
  for (; (cases < least || Clock::now() < end) && !testing::Test::HasFailure(); ++cases) {
    ::alarm(hang);
    Mutator mutator(seed, cases, pieces);
    attempt(mutator, cases);
  }
  ::alarm(0);
  return cases;
}

}  // namespace kedge::test
