// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "services/codecs/ledger_codec.h"
#include "services/codecs/recipe_codec.h"
#include "services/codecs/run_codec.h"
#include "services/core/result.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace desk {

/// Where a run that ended early goes on.
struct ResumePoint
{
    RunConfig config;
    Recipe recipe;
    std::int64_t step = 0; ///< of the newest train state; 0: none was saved
    std::string stateName; ///< empty: start from the base model
    std::string newestSampler; ///< snapshot of the newest base or delta; may be empty
};

/// The folder of one training run and everything that is written into it: metrics.jsonl,
/// checkpoints.jsonl, config.json, recipe.json, status.json, trainer.log. A line is one write(2),
/// so that a reader sees whole lines and a killed process leaves at most one half line.
/// THREAD: one. Writing small lines to a local disk does not block noticeably.
class RunFolder
{
public:
    RunFolder() = default;
    ~RunFolder();
    RunFolder(const RunFolder&) = delete;
    RunFolder& operator=(const RunFolder&) = delete;

    /// Creates the folder (mode 0700) and takes its lock. Conflict: another process trains there,
    /// or it holds a run already and `isContinued` is false.
    [[nodiscard]] Status open(const std::string& path, bool isContinued);
    /// What a continued run needs to know. NotFound: there is no run to continue.
    [[nodiscard]] Result<ResumePoint> resumePoint() const;
    /// Rows after `step` leave metrics.jsonl; the whole old file is kept as
    /// metrics.jsonl.pre_resume_NNNNNN, as tinker-cookbook does.
    [[nodiscard]] Status trimLedger(std::int64_t step);

    [[nodiscard]] Status writeConfig(const RunConfig& config, const Recipe& recipe);
    [[nodiscard]] Status writeStatus(const RunStatus& status);
    [[nodiscard]] Status appendMetrics(const LedgerRow& row);
    [[nodiscard]] Status appendCheckpoint(const RunCheckpoint& checkpoint); ///< synced
    void log(std::string_view message); ///< with the time; failures are ignored

    [[nodiscard]] const std::string& path() const noexcept { return m_path; }
    [[nodiscard]] std::string file(std::string_view name) const;
    [[nodiscard]] std::string controlSocket() const { return file("control.sock"); }

private:
    [[nodiscard]] Status appendLine(int fd, std::string_view name, std::string line);

    std::string m_path;
    int m_lock = -1;
    int m_metrics = -1;
    int m_checkpoints = -1;
};

/// Writes beside the target, syncs, renames.
[[nodiscard]] Status replaceFile(const std::string& path, std::string_view text);
/// At most `most` bytes; NotFound when there is no such file.
[[nodiscard]] Result<std::string> readSmallFile(const std::string& path, std::size_t most);

} // namespace desk
