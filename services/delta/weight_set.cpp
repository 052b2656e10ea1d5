// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/delta/weight_set.h"

#include "services/delta/output_file.h"

#include <algorithm>
#include <fstream>
#include <set>
#include <sstream>

namespace desk {

namespace {

    namespace fs = std::filesystem;
    constexpr const char* kIndexName = "model.safetensors.index.json";
    constexpr std::uint64_t kMaxIndexBytes = 100'000'000;

    Result<std::string> readSmallFile(const fs::path& path)
    {
        std::error_code code;
        const auto size = fs::file_size(path, code);
        if (code)
            return systemError(code.value(), "open", path);
        if (size > kMaxIndexBytes)
            return Error { Error::Code::Malformed,
                path.string() + " has " + std::to_string(size) + " bytes, too many for what it is",
                "nothing was written", {}, {} };
        std::ifstream stream(path, std::ios::binary);
        std::ostringstream text;
        if (!(text << stream.rdbuf()) && size > 0)
            return Error { Error::Code::Unreadable, "cannot read " + path.string(), {}, {}, {} };
        return std::move(text).str();
    }

    bool endsWith(std::string_view text, std::string_view tail)
    {
        return text.size() >= tail.size() && text.substr(text.size() - tail.size()) == tail;
    }

    /// models--org--name of a hub cache, if path lies in its snapshots or blobs; else empty.
    fs::path hubModelFolder(const fs::path& path)
    {
        fs::path folder;
        for (const auto& part : path) {
            const auto parent = folder.filename().string();
            if ((part == "snapshots" || part == "blobs") && parent.find("--") != std::string::npos
                && (parent.rfind("models--", 0) == 0 || parent.rfind("datasets--", 0) == 0
                    || parent.rfind("spaces--", 0) == 0))
                return folder;
            folder /= part;
        }
        return {};
    }
    fs::path absoluteOf(const fs::path& path)
    {
        std::error_code code;
        auto folder = fs::weakly_canonical(path.has_parent_path() ? path.parent_path() : ".", code);
        return code ? fs::absolute(path) : folder / path.filename();
    }
    bool isInside(const fs::path& path, const fs::path& folder)
    {
        const auto both = std::mismatch(folder.begin(), folder.end(), path.begin(), path.end());
        return both.first == folder.end();
    }

    /// root empty: anywhere.
    Result<fs::path> followLink(const fs::path& path, const fs::path& root)
    {
        std::error_code code;
        if (!fs::is_symlink(fs::symlink_status(path, code)))
            return path;
        const auto target = fs::read_symlink(path, code);
        const auto real = fs::canonical(path, code);
        if (code)
            return Error { Error::Code::NotFound,
                path.filename().string() + " points to " + target.string()
                    + ", which does not exist",
                "nothing was written", "download the model again", {} };
        if (!root.empty() && !isInside(real, root))
            return Error { Error::Code::Refused,
                path.filename().string() + " leads to " + real.string() + ", outside of "
                    + root.string(),
                "it was not opened", "copy the file into the folder if it belongs there", {} };
        return real;
    }

    std::string countOfTensors(std::size_t count)
    {
        return std::to_string(count) + (count == 1 ? " tensor" : " tensors");
    }

    Error setMalformed(std::vector<FileProblem>& problems, FileProblem problem)
    {
        Error error { Error::Code::Malformed, problem.message, "nothing was written",
            "get the folder again from where it came", {} };
        problems.push_back(std::move(problem));
        return error;
    }

} // namespace

Result<fs::path> resolveWeightPath(const fs::path& path)
{
    return followLink(path, hubModelFolder(absoluteOf(path)));
}

bool isInsideHubCache(const fs::path& path)
{
    return !hubModelFolder(absoluteOf(path)).empty();
}

Result<WeightSet> WeightSet::open(
    const fs::path& path, Shorts shorts, std::vector<FileProblem>* problems)
{
    std::vector<FileProblem> ignored;
    auto& list = problems != nullptr ? *problems : ignored;
    WeightSet set;
    set.m_path = path;
    std::error_code code;
    set.m_isFolder = fs::is_directory(path, code);
    auto opened = set.m_isFolder ? set.openFolder(shorts, list) : set.openFile(shorts, list);
    if (!opened)
        return opened.error();
    list.insert(list.end(), set.m_shorts.begin(), set.m_shorts.end());
    return set;
}

Status WeightSet::openFile(Shorts shorts, std::vector<FileProblem>& problems)
{
    const auto real = resolveWeightPath(m_path);
    if (!real) {
        problems.push_back({ "link", {}, {}, std::nullopt, real.error().message });
        return real.error();
    }
    if (auto added = addShard(m_path.filename().string(), *real, shorts, problems); !added)
        return added;
    for (auto& problem : m_shorts)
        problem.file.clear();
    return listTensors(problems);
}

Status WeightSet::addShard(const std::string& name, const fs::path& path, Shorts shorts,
    std::vector<FileProblem>& problems)
{
    FileProblem problem;
    auto file = SafetensorsFile::open(path, &problem, true);
    if (!file) {
        problem.file = m_isFolder ? name : std::string();
        problems.push_back(problem);
        auto error = file.error();
        if (error.code == Error::Code::Malformed)
            error.message = name + ": " + problem.message;
        return error;
    }
    const auto& header = file->header();
    const auto needed = header.dataStart + header.dataSize;
    if (file->fileSize() < needed) {
        const auto missing = needed - file->fileSize();
        const auto present = file->fileSize() - header.dataStart;
        std::vector<FileProblem> found { { "short_shard", name, {}, file->fileSize(),
            name + " has " + std::to_string(file->fileSize()) + " of " + std::to_string(needed)
                + " bytes, " + std::to_string(missing) + " are missing" } };
        for (const auto& tensor : header.tensors)
            if (tensor.end > present)
                found.push_back({ "cut_tensor", name, tensor.name, header.dataStart + tensor.begin,
                    tensor.begin >= present ? "tensor " + tensor.name + " is missing whole"
                                            : "tensor " + tensor.name + " is cut by "
                            + std::to_string(tensor.end - present) + " bytes" });
        if (shorts == Shorts::Refuse) {
            std::string cut;
            for (std::size_t i = 1; i < found.size() && i <= 4; ++i)
                cut += "; " + found[i].message;
            if (found.size() > 5)
                cut += "; and " + countOfTensors(found.size() - 5) + " more";
            const auto message = found.front().message + cut;
            problems.insert(problems.end(), found.begin(), found.end());
            return Error { Error::Code::Malformed, message, "nothing was written",
                "download the file again", {} };
        }
        m_shorts.insert(m_shorts.end(), found.begin(), found.end());
    }
    m_shards.push_back({ name, *std::move(file) });
    return done();
}

Status WeightSet::openFolder(Shorts shorts, std::vector<FileProblem>& problems)
{
    std::error_code code;
    const auto folder = fs::canonical(m_path, code);
    if (code)
        return systemError(code.value(), "open", m_path);
    m_root = hubModelFolder(folder);
    if (m_root.empty())
        m_root = folder;

    std::set<std::string> weightFiles;
    bool hasIndex = false;
    for (fs::directory_iterator entry(folder, code), end; !code && entry != end;
         entry.increment(code)) {
        const auto name = entry->path().filename().string();
        std::error_code statusCode;
        if (endsWith(name, ".safetensors"))
            weightFiles.insert(name);
        else if (entry->is_regular_file(statusCode) && name.front() != '.')
            m_others.push_back(name);
        hasIndex = hasIndex || name == kIndexName;
    }
    if (code)
        return systemError(code.value(), "list", m_path);
    std::sort(m_others.begin(), m_others.end());

    std::map<std::string, std::string> weightMap;
    if (hasIndex) {
        const auto indexPath = followLink(folder / kIndexName, m_root);
        auto text = indexPath ? readSmallFile(*indexPath) : Result<std::string>(indexPath.error());
        auto parsed = text.and_then([](const auto& json) { return parseWeightIndex(json); });
        if (!parsed) {
            problems.push_back({ "index", kIndexName, {}, std::nullopt, parsed.error().message });
            return parsed.error();
        }
        weightMap = *std::move(parsed);
        weightFiles.clear();
        for (const auto& [tensor, file] : weightMap) {
            if (file.empty() || file == "." || file == ".." || file.find('/') != std::string::npos
                || file.find('\\') != std::string::npos || file.find('\0') != std::string::npos)
                return setMalformed(problems,
                    { "index", kIndexName, tensor, std::nullopt,
                        std::string(kIndexName) + ": tensor " + tensor
                            + " stands in a file that would leave the folder" });
            weightFiles.insert(file);
        }
    }
    if (weightFiles.empty())
        return Error { Error::Code::NotFound,
            "there are no .safetensors files in " + m_path.string(), {}, {}, {} };
    for (const auto& name : weightFiles) {
        const auto real = followLink(folder / name, m_root);
        if (!real) {
            problems.push_back({ "link", name, {}, std::nullopt, real.error().message });
            return real.error();
        }
        if (auto added = addShard(name, *real, shorts, problems); !added)
            return added;
    }
    if (auto listed = listTensors(problems); !listed)
        return listed;
    return hasIndex ? checkIndex(weightMap, problems) : done();
}

Status WeightSet::listTensors(std::vector<FileProblem>& problems)
{
    for (std::size_t i = 0; i < m_shards.size(); ++i) {
        const auto& file = m_shards[i].file;
        for (const auto& info : file.header().tensors) {
            const auto [other, isNew] = m_byName.emplace(info.name, m_tensors.size());
            if (!isNew)
                return setMalformed(problems,
                    { "duplicate_name", m_shards[i].name, info.name, std::nullopt,
                        "tensor " + info.name + " stands in "
                            + m_shards[m_tensors[other->second].shard].name + " and in "
                            + m_shards[i].name });
            m_tensors.push_back({ &info, i, file.header().dataStart + info.end > file.fileSize() });
        }
    }
    return done();
}

Status WeightSet::checkIndex(
    const std::map<std::string, std::string>& weightMap, std::vector<FileProblem>& problems) const
{
    for (const auto& [name, file] : weightMap) {
        const auto* tensor = find(name);
        if (tensor == nullptr || m_shards[tensor->shard].name != file)
            return setMalformed(problems,
                { "index", kIndexName, name, std::nullopt,
                    std::string(kIndexName) + " puts tensor " + name + " into " + file
                        + ", which does not hold it" });
    }
    for (const auto& tensor : m_tensors)
        if (weightMap.find(tensor.info->name) == weightMap.end())
            return setMalformed(problems,
                { "index", m_shards[tensor.shard].name, tensor.info->name, std::nullopt,
                    "tensor " + tensor.info->name + " of " + m_shards[tensor.shard].name
                        + " is not in " + kIndexName });
    return done();
}

const WeightTensor* WeightSet::find(std::string_view name) const
{
    const auto found = m_byName.find(name);
    return found == m_byName.end() ? nullptr : &m_tensors[found->second];
}

const WeightShard* WeightSet::findShard(std::string_view name) const
{
    for (const auto& shard : m_shards)
        if (shard.name == name)
            return &shard;
    return nullptr;
}

std::uint64_t WeightSet::fileBytes() const noexcept
{
    std::uint64_t bytes = 0;
    for (const auto& shard : m_shards)
        bytes += shard.file.fileSize();
    return bytes;
}

Result<fs::path> WeightSet::resolve(const std::string& name) const
{
    return followLink(m_path / name, m_root);
}

bool WeightSet::saysTied() const
{
    const auto folder = m_isFolder ? m_path : m_path.parent_path();
    const auto text = readSmallFile(folder / "config.json");
    return text && configSaysTied(*text);
}

} // namespace desk
