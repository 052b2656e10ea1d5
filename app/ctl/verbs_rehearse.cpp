// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/ctl/ctl.h"
#include "app/ctl/rehearsal_shim.h"
#include "app/ctl/verbs.h"
#include "services/codecs/rehearsal_report.h"
#include "services/runs/rehearsal_findings.h"

#include <QDir>
#include <QElapsedTimer>
#include <QFileInfo>
#include <QProcess>
#include <QSaveFile>
#include <QTemporaryDir>
#include <QTimer>

#include <charconv>
#include <set>

using namespace Qt::StringLiterals;

namespace desk {
namespace {

    constexpr const char* kRehearsals = "/local/v1/rehearsals";
    /// The backend forgets a rehearsal after a minute; a new stand-in is to be said at once.
    constexpr int kRenewMs = 2'000;

    /// NAME=SIZE of --stand-in.
    Result<std::pair<std::string, std::uint64_t>> standInOf(const std::string& text)
    {
        const auto equals = text.rfind('=');
        std::uint64_t size = 0;
        const char* end = text.data() + text.size();
        if (equals != std::string::npos && equals > 0) {
            const auto read = std::from_chars(text.data() + equals + 1, end, size);
            if (read.ec == std::errc {} && read.ptr == end && size > 0)
                return std::pair { text.substr(0, equals), size };
        }
        return Error { Error::Code::Usage, "--stand-in '" + text + "' is not NAME=VOCABULARY",
            "nothing was started", "give for example --stand-in Qwen/Qwen3-8B=151936", {} };
    }

    /// The user's own cache of the hub, for tokenizers that were downloaded before.
    std::string userHubCache()
    {
        if (const auto cache = qEnvironmentVariable("HF_HUB_CACHE"); !cache.isEmpty())
            return QDir::cleanPath(cache).toStdString();
        const auto home =
            qEnvironmentVariable("HF_HOME", QString(QDir::homePath() + u"/.cache/huggingface"_s));
        const auto hub = QString(home + u"/hub"_s);
        return QDir(hub).exists() ? hub.toStdString() : std::string();
    }

    Status writeReport(const QString& path, const std::string& json)
    {
        QSaveFile file(path);
        const auto bytes = QByteArray::fromStdString(json + "\n");
        if (file.open(QIODevice::WriteOnly) && file.write(bytes) == bytes.size() && file.commit())
            return done();
        return Error { Error::Code::Unreadable,
            "the report could not be written to " + path.toStdString() + ": "
                + file.errorString().toStdString(),
            {}, "the rehearsal itself is over; see the text above", {} };
    }

    /// One rehearsal, from the start of the backend to the report.
    class Rehearsal final : public QObject // clazy:exclude=missing-qobject-macro
    {
    public:
        explicit Rehearsal(Ctl& ctl)
            : QObject(&ctl)
            , m_ctl(ctl)
            , m_profile(ctl.profile())
        {
            connect(&m_renew, &QTimer::timeout, this, [this] { renew(); });
            connect(
                &m_process, &QProcess::errorOccurred, this, [this](QProcess::ProcessError error) {
                    if (error == QProcess::FailedToStart)
                        finish(127);
                });
            connect(
                &m_process, &QProcess::finished, this, [this](int code, QProcess::ExitStatus how) {
                    // QProcess gives the number of the signal as the code of a crash.
                    finish(how == QProcess::CrashExit ? 128 + code : code);
                });
        }

        void start()
        {
            for (const auto& text : m_ctl.options().standIns) {
                auto wish = standInOf(text);
                if (!wish)
                    return m_ctl.fail(wish.error());
                m_begin.vocabularies.insert(*std::move(wish));
            }
            m_begin.hubCache = userHubCache();
            if (!m_ctl.options().data.empty())
                m_profile.localDir =
                    QFileInfo(QString::fromStdString(m_ctl.options().data)).absoluteFilePath();
            m_backend = std::make_unique<LocalBackend>(m_profile);
            onFinished(m_backend->start(), this, [this](const Result<LocalBackendInfo>& info) {
                if (!info)
                    return m_ctl.fail(info.error());
                m_wasStarted = info->wasStarted;
                m_url = info->url.toStdString();
                const auto key = readKeyFile(info->keyFile);
                if (!key)
                    return m_ctl.fail(key.error());
                m_http = std::make_unique<HttpClient>(
                    m_backend->connection(), [bytes = key->key] { return bytes; });
                begin();
            });
        }

    private:
        void begin()
        {
            HttpRequest request;
            request.method = "POST";
            request.url = m_http->url(kRehearsals);
            request.body = QByteArray::fromStdString(encodeRehearsalBegin(m_begin));
            request.doing = "begin a rehearsal";
            onFinished(
                m_http->send(std::move(request)), this, [this](const Result<HttpReply>& reply) {
                    if (!reply)
                        return m_ctl.fail(reply.error());
                    auto started = decodeRehearsalStarted(reply->body.toStdString());
                    if (!started)
                        return m_ctl.fail(started.error());
                    m_started = *std::move(started);
                    run();
                });
        }

        void run()
        {
            const auto& command = m_ctl.options().names;
            const QString label =
                u"rehearsal-"_s + QFileInfo(QString::fromStdString(command.back())).baseName();
            m_runDir = newRunDirectory(m_profile, label);
            const auto hub = QString(m_profile.cacheDir + u"/rehearsal-hub"_s);
            if (!m_shim.isValid() || !QDir().mkpath(m_runDir) || !QDir().mkpath(hub))
                return m_ctl.fail(
                    { Error::Code::Unreadable, "the folders of the rehearsal could not be made",
                        "nothing was started", {}, {} });
            if (const Status written = writeRehearsalShim(m_shim.path()); !written)
                return m_ctl.fail(written.error());
            m_process.setProcessEnvironment(rehearsalEnvironment(
                { QString::fromStdString(m_url), QString::fromStdString(m_started.key),
                    m_shim.path(), hub, QString(m_runDir + u"/metrics.jsonl"_s) }));
            QStringList arguments;
            for (std::size_t i = 1; i < command.size(); ++i)
                arguments << QString::fromStdString(command[i]);
            m_process.setInputChannelMode(QProcess::ForwardedInputChannel);
            m_process.setProcessChannelMode(QProcess::ForwardedChannels);
            if (m_ctl.options().isJson) {
                // stdout is one JSON document: what the command prints goes to stderr.
                m_process.setProcessChannelMode(QProcess::ForwardedErrorChannel);
                connect(&m_process, &QProcess::readyReadStandardOutput, this, [this] {
                    m_ctl.note(m_process.readAllStandardOutput().trimmed().toStdString());
                });
            }
            m_ctl.onInterrupt = [this] {
                m_isInterrupted = true;
                m_process.terminate(); // it may save and clean up; the report follows its end
            };
            m_renew.start(kRenewMs);
            m_clock.start();
            m_process.start(QString::fromStdString(command.front()), arguments);
        }

        HttpRequest recordRequest(const char* method)
        {
            HttpRequest request;
            request.method = method;
            request.url = m_http->url(std::string(kRehearsals) + "/" + m_started.id);
            request.isIdempotent = true;
            request.doing = "read the record of the rehearsal";
            return request;
        }
        void renew()
        {
            onFinished(
                m_http->send(recordRequest("GET")), this, [this](const Result<HttpReply>& reply) {
                    if (const auto record = reply ? decodeRehearsal(reply->body.toStdString())
                                                  : Result<RehearsalRecord>(reply.error()))
                        sayStandIns(*record);
                });
        }

        void sayStandIns(const RehearsalRecord& record)
        {
            for (const auto& standIn : record.standIns)
                if (m_said.insert(standIn.name).second)
                    m_ctl.warn(standInSentence(standIn));
        }

        void finish(int exitCode)
        {
            if (m_isOver)
                return;
            m_isOver = true;
            m_renew.stop();
            if (exitCode == 127)
                m_ctl.note("trainerdesk-ctl: the command could not be started: "
                    + m_process.errorString().toStdString());
            m_report.exitCode = exitCode;
            m_report.seconds = static_cast<double>(m_clock.elapsed()) / 1000.0;
            onFinished(m_http->send(recordRequest("DELETE")), this,
                [this](const Result<HttpReply>& reply) {
                    auto record = reply ? decodeRehearsal(reply->body.toStdString())
                                        : Result<RehearsalRecord>(reply.error());
                    if (!record)
                        return m_ctl.fail(record.error());
                    m_report.record = *std::move(record);
                    leave();
                });
        }

        /// A backend that only this rehearsal needed goes with it.
        void leave()
        {
            if (!m_wasStarted)
                return report();
            onFinished(m_backend->stopIfIdle(), this, [this](const Result<bool>&) { report(); });
        }

        void report()
        {
            m_report.command = m_ctl.options().names;
            m_report.url = m_url;
            m_report.runDir = m_runDir.toStdString();
            m_report.findings = findMistakes(m_report.record);
            m_report.cost = costOf(m_report.record, m_ctl.clock().now());
            const bool clean = isClean(m_report);
            const auto json = encodeRehearsalReport(m_report, clean);
            sayStandIns(m_report.record);
            if (const Status kept = writeReport(QString(m_runDir + u"/rehearsal.json"_s), json);
                !kept)
                m_ctl.warn(kept.error().message);
            if (const auto& path = m_ctl.options().report; !path.empty())
                if (const Status written = writeReport(QString::fromStdString(path), json);
                    !written)
                    return m_ctl.fail(written.error());
            if (m_isInterrupted)
                m_ctl.note(toText(m_report));
            m_ctl.succeed(json, m_isInterrupted ? std::string() : toText(m_report),
                m_isInterrupted ? 5
                    : clean     ? 0
                                : 1);
        }

        Ctl& m_ctl;
        Profile m_profile;
        RehearsalBegin m_begin;
        RehearsalStarted m_started;
        RehearsalReport m_report;
        std::unique_ptr<LocalBackend> m_backend;
        std::unique_ptr<HttpClient> m_http;
        std::string m_url;
        QTemporaryDir m_shim;
        QString m_runDir;
        std::set<std::string> m_said; // stand-ins
        QTimer m_renew;
        QElapsedTimer m_clock;
        QProcess m_process;
        bool m_wasStarted = false;
        bool m_isInterrupted = false;
        bool m_isOver = false;
    };

} // namespace

void rehearse(Ctl& ctl)
{
    (new Rehearsal(ctl))->start(); // owned by ctl
}

} // namespace desk
