#include "kedge/run/written_files.h"

#include <algorithm>
#include <charconv>
#include <vector>

#include "kedge/core/errors.h"
#include "kedge/files/checksum.h"
#include "kedge/run/run_files.h"

namespace kedge {

namespace {

constexpr std::string_view header = "crc64,bytes,file\n";
constexpr std::uint64_t max_bytes = 16u << 20;

/// A name on one line.
std::string encoded(std::string_view name) {
  std::string text;
  for (const char c : name)
    text += static_cast<unsigned char>(c) < 32 || c == 127 || c == '%'
                ? fmt::format("%{:02X}", static_cast<unsigned char>(c))
                : std::string(1, c);
  return text;
}

std::optional<std::string> decoded(std::string_view text) {
  std::string name;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      name += text[i];
      continue;
    }
    unsigned code = 0;
    const std::string_view digits = text.substr(i + 1, 2);
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), code, 16);
    if (error != std::errc() || digits.size() != 2 || end != digits.data() + 2) return std::nullopt;
    name += static_cast<char>(code);
    i += 2;
  }
  return name;
}

/// The parts of "task/model/arm.xml". Empty if a name is none that kedge uses: it must not lead anywhere else.
std::vector<std::string> parts_of(const std::string& name) {
  std::vector<std::string> parts(1);
  for (const char c : name)
    if (c == '/')
      parts.emplace_back();
    else
      parts.back() += c;
  for (const std::string& part : parts)
    if (part.empty() || part == "." || part == ".." || part.find('\0') != std::string::npos) return {};
  const bool in_folder = parts.front() == kTaskFolder || parts.front() == kPoliciesFolder;
  return in_folder || name == kRunToml ? parts : std::vector<std::string>();
}

}  // namespace

WrittenFiles WrittenFiles::read(const Directory& run) {
  WrittenFiles files;
  const FileName file = run / file_name;
  if (!exists(file)) return files;
  const std::string text = read_file(file, max_bytes);
  if (text.empty()) return files;  // loss of power can leave it so
  std::string_view rest = text;
  int line = 1;
  const auto refuse = [&] {
    throw InputError(fmt::format("{}:{}: is not a list of files that kedge wrote", file.string(), line));
  };
  if (!rest.starts_with(header)) refuse();
  for (rest.remove_prefix(header.size()), ++line; !rest.empty(); ++line) {
    const std::size_t end = rest.find('\n'), comma = rest.find(',', 17);
    if (end == std::string_view::npos || comma > end || rest[16] != ',') refuse();
    Entry entry;
    entry.crc64 = rest.substr(0, 16);
    const auto [number_end, error] = std::from_chars(rest.data() + 17, rest.data() + comma, entry.bytes);
    const auto name = decoded(rest.substr(comma + 1, end - comma - 1));
    if (error != std::errc() || number_end != rest.data() + comma || !name || parts_of(*name).empty() ||
        entry.crc64.find_first_not_of("0123456789abcdef") != std::string::npos)
      refuse();
    entry.name = *name;
    files.entries_.insert(std::move(entry));
    rest.remove_prefix(end + 1);
  }
  return files;
}

void WrittenFiles::save(const Directory& run, Durability durability) const {
  std::string text(header);
  for (const Entry& entry : entries_) text += fmt::format("{},{},{}\n", entry.crc64, entry.bytes, encoded(entry.name));
  write_file(run / file_name, text, durability);
}

void WrittenFiles::add(const std::string& name, std::string_view bytes) {
  entries_.insert({name, bytes.size(), digest(bytes)});
}

void WrittenFiles::forget(const std::string& name) {
  std::erase_if(entries_, [&](const Entry& entry) { return entry.name == name; });
}

std::set<std::string> WrittenFiles::names() const {
  std::set<std::string> all;
  for (const Entry& entry : entries_) all.insert(entry.name);
  return all;
}

bool WrittenFiles::has(const Directory& run, const std::string& name) const {
  const auto file = find_file(run, name);
  const auto info = file ? file->folder()->status(file->name()) : std::nullopt;
  if (!info || !S_ISREG(info->st_mode)) return false;
  const auto size = static_cast<std::uint64_t>(info->st_size);
  const auto listed = [&](const Entry& entry) { return entry.name == name && entry.bytes == size; };
  if (std::none_of(entries_.begin(), entries_.end(), listed)) return false;
  const std::string crc = digest(read_file(*file, size));
  return entries_.contains({name, size, crc});
}

bool WrittenFiles::owns(const Directory& run, const std::string& name) const {
  const auto file = find_file(run, name);
  const auto info = file ? file->folder()->status(file->name()) : std::nullopt;
  return info && info->st_nlink == 1 && has(run, name);
}

bool WrittenFiles::remove(const Directory& run, const std::string& name) const {
  const auto file = find_file(run, name);
  const auto info = file ? file->folder()->status(file->name()) : std::nullopt;
  return info && owns(run, name) && file->folder()->remove(file->name(), *info);
}

std::optional<FileName> find_file(const Directory& run, const std::string& name) {
  const std::vector<std::string> parts = parts_of(name);
  if (parts.empty()) return std::nullopt;
  Directory folder = run;
  for (std::size_t i = 0; i + 1 < parts.size(); ++i) {
    auto next = folder.folder(parts[i]);
    if (!next) return std::nullopt;
    folder = std::move(*next);
  }
  return folder / parts.back();
}

}  // namespace kedge
