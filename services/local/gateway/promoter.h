// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "services/codecs/gateway_codec.h"
#include "services/core/result.h"
#include "services/local/objects/object_store.h"
#include "services/local/server/task_pool.h"

#include <atomic>
#include <functional>
#include <map>
#include <mutex>
#include <string>

namespace desk::local {

/// Promotions: long-running operations that really copy a checkpoint's files to a model. One per
/// (checkpoint, model), however often it is asked for; those cut off by a crash go on. THREAD: any.
class Promoter
{
public:
    Promoter(ObjectStore& store, TaskPool& pool);
    Promoter(const Promoter&) = delete;
    Promoter& operator=(const Promoter&) = delete;

    /// Goes on with what was not finished.
    [[nodiscard]] Status start();
    void stop() { m_isStopping = true; }
    /// `checkpoint` is the id in the URL. Refused for a row that is not promotable, another base
    /// model or a bad id; NotFound for an unknown row; Conflict when the model exists already and
    /// came from elsewhere.
    [[nodiscard]] Result<OperationRow> promote(
        const std::string& checkpoint, const Promote& request);
    /// Runs `run` when the operation has ended: now, or on a thread of the pool.
    void whenEnded(const std::string& operation, std::function<void()> run);
    [[nodiscard]] LongOperation describe(const OperationRow& row) const;

private:
    void run(const OperationRow& row);
    [[nodiscard]] Result<ModelRow> copy(const OperationRow& row);
    [[nodiscard]] Result<Model> describeModel(
        const OperationRow& row, const CheckpointRow& checkpoint) const;
    void tellEnded(const std::string& operation);
    [[nodiscard]] Result<CheckpointRow> findCheckpoint(
        const std::string& checkpoint, const Promote& request) const;

    ObjectStore& m_store;
    TaskPool& m_pool;
    std::atomic<bool> m_isStopping { false };
    std::mutex m_mutex; // guards m_waiting
    std::multimap<std::string, std::function<void()>> m_waiting; // by operation
};

} // namespace desk::local
