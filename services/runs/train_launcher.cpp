// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/runs/train_launcher.h"

#include "services/codecs/run_codec.h"
#include "services/on_finished.h"

#include <QCoreApplication>
#include <QDir>
#include <QFileInfo>
#include <QProcess>
#include <QSaveFile>

#include <utility>

using namespace Qt::StringLiterals;

namespace desk {
namespace {

    constexpr qsizetype kMaxLaunchOutput = qsizetype { 1 } << 20;
    constexpr qsizetype kLaunchTail = 600;

    Error launchError(Error::Code code, std::string message, std::string next)
    {
        return { code, std::move(message), "No training was started", std::move(next), {} };
    }

    /// One start; deletes itself when it has ended.
    class Launch final : public QObject // clazy:exclude=missing-qobject-macro
    {
    public:
        using Started = Result<TrainStarted>;

        Launch(QString program, QStringList arguments, QString runDir, QObject* parent)
            : QObject(parent)
            , m_runDir(std::move(runDir))
            // No parent and no member: a process that still waits for its first step when the
            // window goes must not be killed with it.
            , m_process(new QProcess)
        {
            m_promise.start();
            m_process->setProgram(program);
            m_process->setArguments(arguments);
            m_process->setStandardInputFile(QProcess::nullDevice());
            connect(m_process, &QProcess::readyReadStandardOutput, this, [this] {
                m_out += m_process->readAllStandardOutput();
                m_out.truncate(kMaxLaunchOutput);
            });
            connect(m_process, &QProcess::readyReadStandardError, this, [this] {
                m_err += m_process->readAllStandardError();
                m_err = m_err.right(kMaxLaunchOutput);
            });
            connect(
                m_process, &QProcess::errorOccurred, this, [this](QProcess::ProcessError error) {
                    if (error == QProcess::FailedToStart)
                        finish(launchError(Error::Code::Backend,
                            "trainerdesk-ctl could not be started: "
                                + m_process->errorString().toStdString(),
                            "Build or install it beside this program"));
                });
            connect(m_process, &QProcess::finished, this, [this] { conclude(); });
        }
        ~Launch() override
        {
            if (m_process->state() == QProcess::NotRunning) {
                delete m_process;
                return;
            }
            // Destroying it would kill the training: it stays until this program ends. The list is
            // never freed either, or its end would be the process's end.
            static auto* const outliving = new QList<QProcess*>;
            outliving->append(m_process);
        }
        Q_DISABLE_COPY_MOVE(Launch)

        QFuture<Started> future() const { return m_promise.future(); }
        void start() { m_process->start(); }

    private:
        void conclude()
        {
            m_out += m_process->readAllStandardOutput();
            m_err += m_process->readAllStandardError();
            const auto line =
                m_out.left(m_out.indexOf('\n') < 0 ? m_out.size() : m_out.indexOf('\n'));
            const auto run =
                decodeDetachedRun({ line.constData(), static_cast<std::size_t>(line.size()) });
            const bool isFine =
                m_process->exitStatus() == QProcess::NormalExit && m_process->exitCode() == 0;
            if (run && isFine)
                return finish(TrainStarted { QString::fromStdString(run->runDir), run->job,
                    run->pid, QString::fromStdString(run->controlSocket) });
            if (!run && run.error().code != Error::Code::Malformed)
                return finish(run.error());
            const auto tail =
                QString::fromUtf8(m_err.right(kLaunchTail)).simplified().toStdString();
            finish(launchError(Error::Code::Backend,
                "The training ended before its first step" + (tail.empty() ? "" : ": " + tail),
                "Its log is " + m_runDir.toStdString() + "/trainer.log"));
        }

        void finish(const Started& result)
        {
            if (std::exchange(m_isFinished, true))
                return;
            m_promise.addResult(result);
            m_promise.finish();
            deleteLater();
        }

        const QString m_runDir;
        QProcess* m_process; // freed by this object unless it still runs
        QPromise<Started> m_promise;
        QByteArray m_out;
        QByteArray m_err;
        bool m_isFinished = false;
    };

    Status writeRecipe(const QString& path, const std::string& recipe)
    {
        QSaveFile file(path);
        const auto size = static_cast<qint64>(recipe.size());
        if (file.open(QIODevice::WriteOnly) && file.write(recipe.data(), size) == size
            && file.commit())
            return done();
        return launchError(Error::Code::Unreadable,
            "The recipe " + path.toStdString()
                + " cannot be written: " + file.errorString().toStdString(),
            "Check free space and permissions");
    }

} // namespace

class TrainLauncher::Private
{
public:
    Profile profile;
    QString program;
};

TrainLauncher::TrainLauncher(Profile profile, QString program, QObject* parent)
    : QObject(parent)
    , m_private(std::make_unique<Private>(Private { std::move(profile), std::move(program) }))
{
    if (m_private->program.isEmpty())
        m_private->program = QCoreApplication::applicationDirPath() + u"/trainerdesk-ctl"_s;
}

TrainLauncher::~TrainLauncher() = default;

QFuture<Result<TrainStarted>> TrainLauncher::start(TrainRequest request)
{
    const auto refuse = [](Error error) {
        return finishedFuture(Result<TrainStarted>(std::move(error)));
    };
    if (!request.isSample && request.recipe.empty())
        return refuse(launchError(Error::Code::Usage, "There is neither a recipe nor the sample",
            "Choose what to train"));
    if (!QFileInfo(m_private->program).isExecutable())
        return refuse(launchError(Error::Code::NotFound,
            m_private->program.toStdString() + " is not there or cannot be run",
            "Build or install trainerdesk-ctl beside this program"));
    const auto label = request.label.isEmpty() ? u"sample"_s : request.label;
    const auto runDir = request.runDir.isEmpty() ? newRunDirectory(m_private->profile, label)
                                                 : QDir::cleanPath(request.runDir);
    if (!QDir().mkpath(runDir))
        return refuse(launchError(Error::Code::Unreadable,
            "The run folder " + runDir.toStdString() + " cannot be created",
            "Check free space and permissions"));
    QStringList arguments;
    if (!m_private->profile.root.isEmpty())
        arguments << u"--profile"_s << m_private->profile.root;
    arguments << u"--connection"_s
              << (request.connection.isEmpty() ? u"local"_s : request.connection) << u"--json"_s
              << u"train"_s;
    if (request.isSample) {
        arguments << u"--sample"_s;
    } else {
        const QString recipe = runDir + u"/recipe.json"_s;
        if (const auto written = writeRecipe(recipe, request.recipe); !written)
            return refuse(written.error());
        arguments << recipe;
    }
    arguments << u"--detach"_s << u"--run-dir"_s << runDir;
    auto* launch = new Launch(m_private->program, arguments, runDir, this);
    auto future = launch->future();
    Q_EMIT runDirPrepared(runDir);
    launch->start();
    return future;
}

} // namespace desk
