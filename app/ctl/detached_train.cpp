// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/ctl/detached_train.h"

#include "services/codecs/run_codec.h"
#include "services/store/process_identity.h"
#include "services/train/run_folder.h"

#include <QCoreApplication>
#include <QFile>
#include <QFileInfo>
#include <QProcess>

#include <csignal>

using namespace Qt::StringLiterals;

namespace desk {
namespace {

    constexpr int kLookMs = 50;
    constexpr std::size_t kMaxOutcome = std::size_t { 1 } << 20;

    bool isAlive(qint64 pid)
    {
        return processStartTicks(pid).has_value();
    }

    QString absolute(const std::string& path)
    {
        return QFileInfo(QString::fromStdString(path)).absoluteFilePath();
    }

    QStringList childArguments(const CtlOptions& options, const QString& runDir)
    {
        QStringList out { u"--json"_s };
        if (!options.connection.empty())
            out << u"--connection"_s << QString::fromStdString(options.connection);
        if (!options.keyFile.empty())
            out << u"--key-file"_s << absolute(options.keyFile);
        if (!options.profile.empty())
            out << u"--profile"_s << absolute(options.profile);
        out << u"train"_s;
        if (options.isSample)
            out << u"--sample"_s;
        if (options.isContinued)
            out << u"--continue"_s;
        if (!options.names.empty())
            out << absolute(options.names[0]);
        return out << u"--run-dir"_s << runDir;
    }

} // namespace

DetachedTrain::DetachedTrain(Ctl& ctl, QString runDir)
    : QObject(&ctl)
    , m_ctl(ctl)
    , m_runDir(std::move(runDir))
{
    m_timer.setSingleShot(true);
    connect(&m_timer, &QTimer::timeout, this, &DetachedTrain::look);
}

void DetachedTrain::start()
{
    QFile::remove(m_runDir + u"/outcome.json"_s);
    QProcess process;
    process.setProgram(QCoreApplication::applicationFilePath());
    process.setArguments(childArguments(m_ctl.options(), m_runDir));
    process.setStandardInputFile(QProcess::nullDevice());
    process.setStandardOutputFile(m_runDir + u"/outcome.json"_s);
    process.setStandardErrorFile(m_runDir + u"/trainer.log"_s, QIODevice::Append);
    if (!process.startDetached(&m_pid))
        return m_ctl.fail({ Error::Code::Backend,
            "the training process could not be started: " + process.errorString().toStdString(),
            "no training was started", {}, {} });
    m_ctl.onInterrupt = [this] {
        ::kill(static_cast<pid_t>(m_pid), SIGTERM);
        m_ctl.fail({ Error::Code::Canceled, "interrupted before the first step",
            "the training was told to stop", {}, {} });
    };
    m_timer.start(kLookMs);
}

void DetachedTrain::look()
{
    if (!isAlive(m_pid))
        return concludeFromOutcome();
    onFinished(m_socket.status(m_runDir + u"/control.sock"_s, 1000), this,
        [this](const Result<ControlStatus>& status) { judge(status); });
}

void DetachedTrain::judge(const Result<ControlStatus>& status)
{
    if (status && status->pid == m_pid && !status->job.empty() && status->step) {
        if (!m_firstStep)
            m_firstStep = *status->step;
        // A continued run begins at the step of its state.
        const bool hasStepped =
            m_ctl.options().isContinued ? *status->step > *m_firstStep : *status->step > 0;
        if (hasStepped) {
            const DetachedRun run { m_runDir.toStdString(), status->job, m_pid,
                m_runDir.toStdString() + "/control.sock" };
            return m_ctl.succeed(encodeDetachedRun(run),
                "training in " + run.runDir + "\njob " + run.job + ", process "
                    + std::to_string(run.pid) + "\n");
        }
    }
    m_timer.start(kLookMs);
}

/// The process is gone: it has written what it came to.
void DetachedTrain::concludeFromOutcome()
{
    const auto text = readSmallFile(m_runDir.toStdString() + "/outcome.json", kMaxOutcome);
    const auto run = text ? decodeDetachedRun(*text) : Result<DetachedRun>(text.error());
    if (run)
        return m_ctl.succeed(
            encodeDetachedRun(*run), "the training in " + run->runDir + " is over\n");
    if (text && text->starts_with("{\"error\"")) // its own error, as it printed it
        return m_ctl.fail(run.error());
    m_ctl.fail({ Error::Code::Backend, "the training process ended before its first step",
        "no step was taken", "its log is " + m_runDir.toStdString() + "/trainer.log", {} });
}

} // namespace desk
