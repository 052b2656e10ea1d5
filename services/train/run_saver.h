// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "services/codecs/control_codec.h"
#include "services/core/clock.h"
#include "services/core/result.h"
#include "services/gateway/fireworks_client.h"
#include "services/train/run_folder.h"
#include "services/trainer/firetitan_client.h"

#include <QFuture>
#include <QObject>

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace desk {

struct SaveOrder
{
    std::string kind; ///< state, base, delta, merged_base; empty: base first, then delta
    std::string name;
    std::optional<std::int64_t> ttlSeconds;
    std::int64_t step = 0; ///< optimizer steps that the saved weights have seen
    bool isFinal = false;
};

/// Saves train states and sampler weights of a run and records each in checkpoints.jsonl, with its
/// resource name and what the server says of its size and parent.
/// THREAD: that of the clients. OWNERSHIP: everything passed in must outlive the saver.
class RunSaver final : public QObject
{
    Q_OBJECT
public:
    RunSaver(FiretitanTrainingClient& training, FireworksClient& control, RunFolder& folder,
        const Clock& clock, std::string job, QObject* parent = nullptr);
    Q_DISABLE_COPY_MOVE(RunSaver)

    /// May be called while others are under way: the trainer takes them in order.
    [[nodiscard]] QFuture<Result<ControlSaved>> save(SaveOrder order);
    /// Records a sampler save that somebody else made (the weight syncer).
    [[nodiscard]] QFuture<Result<ControlSaved>> record(
        SaveOrder order, std::string path, std::string snapshotName);

    [[nodiscard]] int openCount() const { return m_open; }
    [[nodiscard]] const std::string& newestSampler() const { return m_newestSampler; }
    /// What a run that is continued had saved before.
    void setNewest(std::string state, std::string sampler)
    {
        m_newestState = std::move(state);
        m_newestSampler = std::move(sampler);
    }
    [[nodiscard]] const std::string& newestState() const { return m_newestState; }
    [[nodiscard]] const std::string& busyWith() const { return m_busyWith; }
    /// Loss of a step, for the ledger of checkpoints.
    std::function<std::optional<double>(std::int64_t step)> lossAt;
    /// Called when the last open save has ended.
    std::function<void()> onIdle;

private:
    void ended();
    void logWarnings(const std::vector<std::string>& warnings);
    FiretitanTrainingClient& m_training;
    FireworksClient& m_control;
    RunFolder& m_folder;
    const Clock& m_clock;
    std::string m_job;
    std::string m_newestSampler;
    std::string m_newestState;
    std::string m_busyWith;
    bool m_isBaseOrdered = false; ///< a base save was handed over and has not failed
    int m_open = 0;
};

} // namespace desk
