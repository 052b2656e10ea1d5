// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "services/delta/engine.h"

#include <QFuture>
#include <QObject>
#include <QString>
#include <QThread>

#include <functional>
#include <memory>
#include <stop_token>

namespace desk {

/// Ends the thread's event loop and joins it; the running job must have been told to stop.
struct QuitAndWait
{
    void operator()(QThread* thread) const;
};

/// Runs delta jobs one after another on a thread of its own, "delta", which also owns the engine
/// and its device. Futures have a progress range of 0 to 1000; a canceled one ends at the next
/// chunk (a few ms), without a result if it was canceled through the future. THREAD: the one it
/// lives in. OWNERSHIP: futures outlive it; those of unfinished jobs end canceled.
class DeltaWorker final : public QObject
{
    Q_OBJECT
public:
    using OpenEngine = std::function<Result<std::unique_ptr<DeltaEngine>>(DevicePolicy)>;
    explicit DeltaWorker(OpenEngine openEngine, QObject* parent = nullptr);
    ~DeltaWorker() override; // cancels every job, running and queued; waits one chunk
    Q_DISABLE_COPY_MOVE(DeltaWorker)

    QFuture<Result<DeltaReport>> diff(DiffJob job);
    QFuture<Result<DeltaReport>> apply(ApplyJob job);
    QFuture<Result<VerifyReport>> verify(VerifyJob job);
    QFuture<Result<VerifyReport>> compare(CompareJob job);
    QFuture<Result<InspectReport>> inspect(InspectJob job);

    /// Opens the engine now instead of with the first job; deviceChanged() tells when it is there.
    void openDevice();
    /// "cpu"; empty until an engine was opened.
    [[nodiscard]] QString deviceName() const { return m_deviceName; }
    /// Device, kernel and why: "CPU · AVX2 (built without CUDA)"; empty until an engine was opened.
    [[nodiscard]] QString deviceDescription() const { return m_deviceDescription; }

Q_SIGNALS:
    void deviceChanged(const QString& description);

private:
    class Runner;
    template <class Report, class Job>
    QFuture<Result<Report>> enqueue(
        Job job, Result<Report> (DeltaEngine::*method)(const Job&, const JobControl&));
    void setDevice(const QString& name, const QString& description);

    std::stop_source m_stop;
    QString m_deviceName;
    QString m_deviceDescription;
    Runner* m_runner = nullptr; // lives on *m_thread, deleted when that finishes
    std::unique_ptr<QThread, QuitAndWait> m_thread; // last member: destroyed first
};

} // namespace desk
