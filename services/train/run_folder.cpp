// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/train/run_folder.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

namespace desk {
namespace {

    namespace fs = std::filesystem;

    constexpr std::size_t kMaxRunFile = std::size_t { 1 } << 20;

    Error folderError(const std::string& what, const std::string& path)
    {
        const int reason = errno;
        return { reason == ENOSPC || reason == EDQUOT ? Error::Code::Full : Error::Code::Unreadable,
            what + " " + path + ": " + std::strerror(reason),
            "the step it belongs to is not recorded",
            "free some space or check the permissions, then continue the run", {} };
    }

    Status writeAll(int fd, std::string_view text, const std::string& path)
    {
        while (!text.empty()) {
            const ssize_t put = ::write(fd, text.data(), text.size());
            if (put < 0 && errno == EINTR)
                continue;
            if (put <= 0)
                return folderError("cannot write", path);
            text.remove_prefix(static_cast<std::size_t>(put));
        }
        return done();
    }

    int openForAppend(const std::string& path)
    {
        return ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    }

    /// A line that a killed process left half written must not swallow the next one.
    void endTornLine(int fd, const std::string& path)
    {
        struct stat info
        {
        };
        const int reader = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
        if (reader < 0)
            return;
        char last = '\n';
        if (::fstat(reader, &info) == 0 && info.st_size > 0
            && ::pread(reader, &last, 1, info.st_size - 1) == 1 && last != '\n')
            (void)writeAll(fd, "\n", path);
        ::close(reader);
    }

} // namespace

Status replaceFile(const std::string& path, std::string_view text)
{
    const std::string beside = path + ".new";
    const int fd = ::open(beside.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0)
        return folderError("cannot create", beside);
    Status written = writeAll(fd, text, beside);
    if (written && ::fsync(fd) != 0)
        written = folderError("cannot sync", beside);
    ::close(fd);
    if (written && ::rename(beside.c_str(), path.c_str()) != 0)
        written = folderError("cannot rename", beside);
    if (!written)
        ::unlink(beside.c_str());
    return written;
}

Result<std::string> readSmallFile(const std::string& path, std::size_t most)
{
    std::ifstream in(path, std::ios::binary);
    if (!in) {
        const bool isMissing = errno == ENOENT;
        return Error { isMissing ? Error::Code::NotFound : Error::Code::Unreadable,
            "cannot read " + path + ": " + std::strerror(errno), "nothing was changed", {}, {} };
    }
    std::string text(most + 1, '\0');
    in.read(text.data(), static_cast<std::streamsize>(text.size()));
    text.resize(static_cast<std::size_t>(in.gcount()));
    if (text.size() > most)
        return Error { Error::Code::Malformed, path + " is larger than expected",
            "nothing was changed", {}, {} };
    return text;
}

RunFolder::~RunFolder()
{
    for (const int fd : { m_lock, m_metrics, m_checkpoints })
        if (fd >= 0)
            ::close(fd);
}

std::string RunFolder::file(std::string_view name) const
{
    return m_path + "/" + std::string(name);
}

Status RunFolder::open(const std::string& path, bool isContinued)
{
    std::error_code error;
    m_path = fs::absolute(path, error).lexically_normal().string();
    while (m_path.size() > 1 && m_path.back() == '/')
        m_path.pop_back();
    if (!isContinued) {
        fs::create_directories(m_path, error);
        if (!error)
            fs::permissions(m_path, fs::perms::owner_all, error);
    }
    if (!fs::is_directory(m_path, error))
        return Error { Error::Code::NotFound, "there is no run folder " + m_path,
            "no training was started", "check the path", {} };
    if (!isContinued && fs::exists(file("metrics.jsonl"), error))
        return Error { Error::Code::Conflict, m_path + " holds a run already",
            "no training was started", "choose another folder, or continue it with --continue",
            {} };
    m_lock = openForAppend(file("trainer.log"));
    if (m_lock < 0)
        return folderError("cannot write", file("trainer.log"));
    if (::flock(m_lock, LOCK_EX | LOCK_NB) != 0)
        return Error { Error::Code::Conflict, "another process is training in " + m_path,
            "no training was started", "wait for it, or stop it through its control socket", {} };
    return done();
}

Result<ResumePoint> RunFolder::resumePoint() const
{
    ResumePoint point;
    const auto config = readSmallFile(file("config.json"), kMaxRunFile);
    const auto recipe = readSmallFile(file("recipe.json"), kMaxRunFile);
    if (!config || !recipe)
        return Error { Error::Code::NotFound, m_path + " holds no run that could be continued",
            "no training was started", "name the folder of a run that `train` started", {} };
    const auto readConfig = decodeRunConfig(*config);
    if (!readConfig)
        return readConfig.error();
    const auto readRecipe = decodeRecipe(*recipe);
    if (!readRecipe)
        return readRecipe.error();
    point.config = *readConfig;
    point.recipe = *readRecipe;
    std::ifstream lines(file("checkpoints.jsonl"), std::ios::binary);
    std::string line;
    while (std::getline(lines, line)) {
        const auto checkpoint = decodeRunCheckpoint(line);
        if (!checkpoint)
            continue;
        if (checkpoint->kind == "state" && checkpoint->step) {
            point.step = *checkpoint->step;
            point.stateName = checkpoint->name;
        } else if (checkpoint->kind == "base" || checkpoint->kind == "delta") {
            point.newestSampler = checkpoint->name;
        }
    }
    return point;
}

Status RunFolder::trimLedger(std::int64_t step)
{
    const std::string ledger = file("metrics.jsonl");
    std::ifstream in(ledger, std::ios::binary);
    if (!in)
        return done();
    std::string kept;
    std::string line;
    bool isShorter = false;
    while (std::getline(in, line)) {
        const auto rowStep = ledgerStepOf(line);
        if (rowStep && *rowStep <= step)
            kept.append(line).push_back('\n');
        else
            isShorter = true;
    }
    if (!isShorter)
        return done();
    char suffix[32];
    std::snprintf(suffix, sizeof suffix, ".pre_resume_%06lld", static_cast<long long>(step));
    std::error_code error;
    fs::copy_file(ledger, ledger + suffix, fs::copy_options::overwrite_existing, error);
    if (error)
        return Error { Error::Code::Unreadable,
            "cannot keep a copy of " + ledger + ": " + error.message(), "the run was not continued",
            "free some space, then try again", {} };
    return replaceFile(ledger, kept);
}

Status RunFolder::writeConfig(const RunConfig& config, const Recipe& recipe)
{
    const std::string text = encodeRecipe(recipe) + "\n";
    if (const Status written = replaceFile(file("recipe.json"), text); !written)
        return written;
    return replaceFile(file("config.json"), encodeRunConfig(config, encodeRecipe(recipe)));
}

Status RunFolder::writeStatus(const RunStatus& status)
{
    return replaceFile(file("status.json"), encodeRunStatus(status));
}

Status RunFolder::appendLine(int fd, std::string_view name, std::string line)
{
    if (fd < 0)
        return folderError("cannot write", file(name));
    line.push_back('\n');
    return writeAll(fd, line, file(name));
}

Status RunFolder::appendMetrics(const LedgerRow& row)
{
    if (m_metrics < 0) {
        m_metrics = openForAppend(file("metrics.jsonl"));
        if (m_metrics >= 0)
            endTornLine(m_metrics, file("metrics.jsonl"));
    }
    return appendLine(m_metrics, "metrics.jsonl", encodeLedgerRow(row));
}

Status RunFolder::appendCheckpoint(const RunCheckpoint& checkpoint)
{
    if (m_checkpoints < 0) {
        m_checkpoints = openForAppend(file("checkpoints.jsonl"));
        if (m_checkpoints >= 0)
            endTornLine(m_checkpoints, file("checkpoints.jsonl"));
    }
    const Status written =
        appendLine(m_checkpoints, "checkpoints.jsonl", encodeRunCheckpoint(checkpoint));
    if (written && ::fsync(m_checkpoints) != 0)
        return folderError("cannot sync", file("checkpoints.jsonl"));
    return written;
}

void RunFolder::log(std::string_view message)
{
    if (m_lock < 0)
        return;
    const std::string line = toRfc3339(SystemClock().now()) + " " + std::string(message) + "\n";
    (void)writeAll(m_lock, line, "trainer.log");
}

} // namespace desk
