// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/worker/delta_worker.h"

#include <QMetaObject>
#include <QPromise>

#include <exception>

using namespace Qt::StringLiterals;

namespace desk {

void QuitAndWait::operator()(QThread* thread) const
{
    thread->quit();
    thread->wait();
    delete thread;
}

/// Lives on the delta thread; everything about the engine happens there.
class DeltaWorker::Runner final : public QObject // clazy:exclude=missing-qobject-macro
{
public:
    Runner(DeltaWorker* owner, OpenEngine openEngine, std::stop_token stop)
        : m_owner(owner)
        , m_openEngine(std::move(openEngine))
        , m_stop(std::move(stop))
    {
    }

    template <class Report, class Job>
    void run(const Job& job, Result<Report> (DeltaEngine::*method)(const Job&, const JobControl&),
        QPromise<Result<Report>>& promise)
    {
        promise.start();
        promise.setProgressRange(0, 1000);
        auto result = compute(job, method, promise);
        if (!result && result.error().code == Error::Code::Backend)
            giveDeviceUp(QString::fromStdString(result.error().message));
        promise.addResult(std::move(result));
        promise.finish();
    }

    /// The engine, opened on first use; exceptions pass.
    Result<DeltaEngine*> engine()
    {
        if (!m_engine) {
            auto opened = m_openEngine(m_policy);
            if (!opened)
                return opened.error();
            m_engine = *std::move(opened);
            tellDevice();
        }
        return m_engine.get();
    }
    void open()
    try {
        const auto opened = engine(); // a failure comes back with the first job
        Q_UNUSED(opened);
    } catch (const std::exception&) { // likewise
    }

private:
    template <class Report, class Job>
    Result<Report> compute(const Job& job,
        Result<Report> (DeltaEngine::*method)(const Job&, const JobControl&),
        QPromise<Result<Report>>& promise)
    try {
        const auto isCanceled = [&] { return promise.isCanceled() || m_stop.stop_requested(); };
        if (isCanceled())
            return Error { Error::Code::Canceled, "the job was canceled before it began",
                "nothing was written", {}, {} };
        const auto opened = engine();
        if (!opened)
            return opened.error();
        int shown = 0;
        return ((*opened)->*method)(
            job, { isCanceled, [&](std::uint64_t done, std::uint64_t total) {
                      const auto value = static_cast<int>(
                          static_cast<double>(done) / static_cast<double>(total) * 1000);
                      if (value != shown)
                          promise.setProgressValue(shown = value);
                  } });
    } catch (const std::exception& error) { // the one adapter where exceptions end
        return Error { Error::Code::Backend, error.what(), "no output was left", {}, {} };
    } catch (...) {
        return Error { Error::Code::Backend, "unknown exception in a delta job",
            "no output was left", {}, {} };
    }

    /// A lost device stays lost in this process: the CPU from now on.
    void giveDeviceUp(const QString& reason)
    {
        m_engine.reset();
        m_policy = DevicePolicy::CpuOnly;
        m_lossReason = reason;
    }

    void tellDevice()
    {
        auto description = QString::fromStdString(m_engine->description());
        if (!m_lossReason.isEmpty())
            description += u" – the device before it failed: "_s + m_lossReason;
        // The owner joins this thread before it is gone, so the pointer is good.
        QMetaObject::invokeMethod(
            m_owner,
            [owner = m_owner, name = QString::fromStdString(m_engine->deviceName()), description] {
                owner->setDevice(name, description);
            },
            Qt::QueuedConnection);
    }

    DeltaWorker* m_owner;
    OpenEngine m_openEngine;
    DevicePolicy m_policy = DevicePolicy::PreferCuda;
    QString m_lossReason;
    std::stop_token m_stop;
    std::unique_ptr<DeltaEngine> m_engine; // opened, used and destroyed on the delta thread
};

DeltaWorker::DeltaWorker(OpenEngine openEngine, QObject* parent)
    : QObject(parent)
    , m_runner(new Runner(this, std::move(openEngine), m_stop.get_token()))
    , m_thread(new QThread)
{
    m_thread->setObjectName(u"delta"_s);
    m_runner->moveToThread(m_thread.get());
    connect(m_thread.get(), &QThread::finished, m_runner, &QObject::deleteLater);
    m_thread->start();
}

DeltaWorker::~DeltaWorker()
{
    m_stop.request_stop();
}

template <class Report, class Job>
QFuture<Result<Report>> DeltaWorker::enqueue(
    Job job, Result<Report> (DeltaEngine::*method)(const Job&, const JobControl&))
{
    QPromise<Result<Report>> promise;
    auto future = promise.future();
    QMetaObject::invokeMethod(m_runner,
        [runner = m_runner, job = std::move(job), method, promise = std::move(promise)]() mutable {
            runner->run(job, method, promise);
        });
    return future;
}

QFuture<Result<DeltaReport>> DeltaWorker::diff(DiffJob job)
{
    return enqueue(std::move(job), &DeltaEngine::diff);
}

QFuture<Result<DeltaReport>> DeltaWorker::apply(ApplyJob job)
{
    return enqueue(std::move(job), &DeltaEngine::apply);
}

QFuture<Result<VerifyReport>> DeltaWorker::verify(VerifyJob job)
{
    return enqueue(std::move(job), &DeltaEngine::verify);
}

QFuture<Result<VerifyReport>> DeltaWorker::compare(CompareJob job)
{
    return enqueue(std::move(job), &DeltaEngine::compare);
}

QFuture<Result<InspectReport>> DeltaWorker::inspect(InspectJob job)
{
    return enqueue(std::move(job), &DeltaEngine::inspect);
}

void DeltaWorker::openDevice()
{
    QMetaObject::invokeMethod(m_runner, [runner = m_runner] { runner->open(); });
}

void DeltaWorker::setDevice(const QString& name, const QString& description)
{
    m_deviceName = name;
    m_deviceDescription = description;
    Q_EMIT deviceChanged(description);
}

} // namespace desk
