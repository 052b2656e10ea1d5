// SPDX-License-Identifier: GPL-3.0-or-later
// DeltaWorker with a scripted engine: delivery, exceptions, cancel, destruction, a lost device.

#include "services/on_finished.h"
#include "services/worker/delta_worker.h"

#include <QElapsedTimer>
#include <QFutureWatcher>
#include <QSemaphore>
#include <QSignalSpy>
#include <QTest>
#include <QThread>

#include <atomic>
#include <stdexcept>

using namespace Qt::StringLiterals;
using namespace desk;

namespace {

/// What the scripted engines of a test do and tell.
struct Script
{
    std::function<Result<VerifyReport>(const VerifyJob&, const JobControl&)> verify;
    std::atomic<int> opened { 0 };
    std::atomic<int> destroyed { 0 };
    std::atomic<int> ran { 0 };
    std::atomic<bool> wasOffThread { false };
    DevicePolicy lastPolicy = DevicePolicy::PreferCuda;
};

class ScriptedEngine final : public DeltaEngine
{
public:
    ScriptedEngine(Script& script, std::string device)
        : m_script(script)
        , m_device(std::move(device))
        , m_thread(QThread::currentThread())
    {
    }
    ~ScriptedEngine() override
    {
        ++m_script.destroyed;
        check();
    }
    std::string deviceName() const override { return m_device; }
    std::string kernelName() const override { return "scripted"; }
    std::string description() const override { return m_device + " (scripted)"; }
    Result<DeltaReport> diff(const DiffJob&, const JobControl&) override { return DeltaReport {}; }
    Result<DeltaReport> apply(const ApplyJob&, const JobControl&) override
    {
        return DeltaReport {};
    }
    Result<VerifyReport> verify(const VerifyJob& job, const JobControl& control) override
    {
        ++m_script.ran;
        check();
        return m_script.verify(job, control);
    }
    Result<VerifyReport> compare(const CompareJob&, const JobControl&) override
    {
        return VerifyReport {};
    }
    Result<InspectReport> inspect(const InspectJob&, const JobControl&) override
    {
        return InspectReport {};
    }

private:
    void check()
    {
        if (QThread::currentThread() != m_thread || m_thread->objectName() != u"delta"_s)
            m_script.wasOffThread = true;
    }
    Script& m_script;
    std::string m_device;
    QThread* m_thread;
};

DeltaWorker::OpenEngine opener(Script& script)
{
    return [&script](DevicePolicy policy) -> Result<std::unique_ptr<DeltaEngine>> {
        ++script.opened;
        script.lastPolicy = policy;
        return std::unique_ptr<DeltaEngine>(std::make_unique<ScriptedEngine>(
            script, policy == DevicePolicy::PreferCuda ? "cuda:0" : "cpu"));
    };
}

/// Works until it is told to stop, as a long job does.
Result<VerifyReport> untilCanceled(const VerifyJob&, const JobControl& control)
{
    while (!control.isCanceled())
        QThread::yieldCurrentThread();
    return Error { Error::Code::Canceled, "stopped", {}, {}, {} };
}

Result<VerifyReport> exact(const VerifyJob&, const JobControl& control)
{
    control.onProgress(1, 2);
    control.onProgress(2, 2);
    VerifyReport report;
    report.verdict = Verdict::Exact;
    return report;
}

} // namespace

class TestDeltaWorker final : public QObject
{
    Q_OBJECT
private Q_SLOTS:
    void deliversResultsAndProgressOnTheCallersThread();
    void tellsTheDeviceAndWhy();
    void turnsExceptionsIntoErrors();
    void runsJobsInOrder();
    void cancelsARunningJob();
    void isDestroyedWhileAJobRuns();
    void isDestroyedWithFiveQueued();
    void usesTheCpuAfterTheDeviceIsLost();
    void survivesADyingGuard();
    void passesOnAFailureToOpen();
    void runsTheRealEngine();
};

void TestDeltaWorker::deliversResultsAndProgressOnTheCallersThread()
{
    Script script;
    script.verify = exact;
    {
        DeltaWorker worker(opener(script));
        QCOMPARE(script.opened, 0); // nothing happens before the first job
        QFutureWatcher<Result<VerifyReport>> watcher;
        QSignalSpy progress(&watcher, &QFutureWatcherBase::progressValueChanged);
        bool isDelivered = false;
        const auto future = worker.verify({});
        watcher.setFuture(future);
        onFinished(future, this, [&](const Result<VerifyReport>& result) {
            isDelivered =
                QThread::currentThread() == thread() && result && result->verdict == Verdict::Exact;
        });
        QTRY_VERIFY(isDelivered);
        QTRY_COMPARE(watcher.progressValue(), 1000);
        QCOMPARE(watcher.progressMaximum(), 1000);
        QVERIFY(!progress.isEmpty());
    }
    QCOMPARE(script.destroyed, 1);
    QVERIFY(!script.wasOffThread); // opened, used and destroyed on the delta thread
}

void TestDeltaWorker::tellsTheDeviceAndWhy()
{
    Script script;
    script.verify = exact;
    DeltaWorker worker(opener(script));
    QVERIFY(worker.deviceDescription().isEmpty());
    QSignalSpy changed(&worker, &DeltaWorker::deviceChanged);
    worker.openDevice();
    QTRY_COMPARE(changed.size(), 1);
    QCOMPARE(changed[0][0].toString(), u"cuda:0 (scripted)"_s);
    QCOMPARE(worker.deviceName(), u"cuda:0"_s);
    QCOMPARE(worker.deviceDescription(), u"cuda:0 (scripted)"_s);
}

void TestDeltaWorker::turnsExceptionsIntoErrors()
{
    Script script;
    script.verify = [](const auto&, const auto&) -> Result<VerifyReport> {
        throw std::runtime_error("boom");
    };
    DeltaWorker worker(opener(script));
    auto future = worker.verify({});
    QTRY_VERIFY(future.isFinished());
    QVERIFY(!future.result());
    QCOMPARE(future.result().error().code, Error::Code::Backend);
    QCOMPARE(future.result().error().message, std::string("boom"));
    script.verify = [](const auto&, const auto&) -> Result<VerifyReport> { throw 7; };
    future = worker.verify({});
    QTRY_VERIFY(future.isFinished());
    QCOMPARE(future.result().error().code, Error::Code::Backend);
}

void TestDeltaWorker::runsJobsInOrder()
{
    Script script;
    std::vector<std::string> order;
    script.verify = [&](const VerifyJob& job, const JobControl&) {
        order.push_back(job.base.string());
        return Result<VerifyReport>(VerifyReport {});
    };
    DeltaWorker worker(opener(script));
    for (const char* name : { "a", "b", "c" })
        (void)worker.verify({ name, {}, {}, 0 });
    const auto last = worker.compare({});
    QTRY_VERIFY(last.isFinished());
    QVERIFY(order == std::vector<std::string>({ "a", "b", "c" }));
    QCOMPARE(script.opened, 1);
}

void TestDeltaWorker::cancelsARunningJob()
{
    Script script;
    script.verify = untilCanceled;
    DeltaWorker worker(opener(script));
    auto future = worker.verify({});
    Error::Code code = Error::Code::Unknown;
    onFinished(
        future, this, [&](const Result<VerifyReport>& result) { code = result.error().code; });
    QTRY_COMPARE(script.ran, 1);
    future.cancel();
    QTRY_COMPARE(code, Error::Code::Canceled);
    // The queue goes on.
    script.verify = exact;
    const auto next = worker.verify({});
    QTRY_VERIFY(next.isFinished());
    QVERIFY(next.result());
}

void TestDeltaWorker::isDestroyedWhileAJobRuns()
{
    Script script;
    script.verify = untilCanceled;
    auto worker = std::make_unique<DeltaWorker>(opener(script));
    const auto future = worker->verify({});
    QTRY_COMPARE(script.ran, 1);
    worker.reset();
    QVERIFY(future.isFinished());
    QCOMPARE(future.result().error().code, Error::Code::Canceled);
    QCOMPARE(script.destroyed, 1);
    QVERIFY(!script.wasOffThread);
}

void TestDeltaWorker::isDestroyedWithFiveQueued()
{
    Script script;
    script.verify = untilCanceled;
    auto worker = std::make_unique<DeltaWorker>(opener(script));
    QList<QFuture<Result<VerifyReport>>> futures;
    for (int i = 0; i < 6; ++i)
        futures.append(worker->verify({}));
    QTRY_COMPARE(script.ran, 1);
    worker.reset();
    for (const auto& future : futures) {
        QVERIFY(future.isFinished());
        QVERIFY(
            future.resultCount() == 0 || future.resultAt(0).error().code == Error::Code::Canceled);
    }
    QCOMPARE(script.ran, 1); // the queued ones never reached the engine
}

void TestDeltaWorker::usesTheCpuAfterTheDeviceIsLost()
{
    Script script;
    script.verify = [](const auto&, const auto&) -> Result<VerifyReport> {
        return Error { Error::Code::Backend, "the device fell off", {}, {}, {} };
    };
    DeltaWorker worker(opener(script));
    auto future = worker.verify({});
    QTRY_VERIFY(future.isFinished());
    QCOMPARE(future.result().error().message, std::string("the device fell off"));
    script.verify = exact;
    future = worker.verify({});
    QTRY_VERIFY(future.isFinished());
    QVERIFY(future.result());
    QCOMPARE(script.opened, 2);
    QCOMPARE(script.lastPolicy, DevicePolicy::CpuOnly);
    QTRY_COMPARE(worker.deviceName(), u"cpu"_s);
    QVERIFY(worker.deviceDescription().contains(u"the device fell off"_s));
}

void TestDeltaWorker::survivesADyingGuard()
{
    Script script;
    QSemaphore release;
    script.verify = [&](const VerifyJob& job, const JobControl& control) {
        release.acquire();
        return exact(job, control);
    };
    DeltaWorker worker(opener(script));
    auto guard = std::make_unique<QObject>();
    bool isCalled = false;
    const auto future = worker.verify({});
    onFinished(future, guard.get(), [&](const Result<VerifyReport>&) { isCalled = true; });
    guard.reset();
    release.release();
    QTRY_VERIFY(future.isFinished());
    const auto next = worker.compare({});
    QTRY_VERIFY(next.isFinished());
    QVERIFY(!isCalled);
}

void TestDeltaWorker::passesOnAFailureToOpen()
{
    DeltaWorker worker([](DevicePolicy) -> Result<std::unique_ptr<DeltaEngine>> {
        return Error { Error::Code::OutOfMemory, "no memory for the engine", {}, {}, {} };
    });
    worker.openDevice();
    const auto future = worker.inspect({});
    QTRY_VERIFY(future.isFinished());
    QCOMPARE(future.result().error().code, Error::Code::OutOfMemory);
    QVERIFY(worker.deviceDescription().isEmpty());
}

void TestDeltaWorker::runsTheRealEngine()
{
    DeltaWorker worker(openDeltaEngine);
    const std::filesystem::path folder = DESK_TEST_DATA "/delta/arc/bf16_1pct";
    const auto future = worker.verify({ folder / "base.safetensors",
        { folder / "delta.arc_v2.safetensors" }, folder / "new.safetensors", 0 });
    QTRY_VERIFY(future.isFinished());
    QVERIFY(future.result());
    QCOMPARE(future.result()->verdict, Verdict::Exact);
    QTRY_VERIFY(worker.deviceDescription().startsWith(u"CPU · "_s));
    QVERIFY(worker.deviceDescription().endsWith(u"(built without CUDA)"_s));
}

QTEST_GUILESS_MAIN(TestDeltaWorker)
#include "tst_delta_worker.moc"
