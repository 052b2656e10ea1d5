// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

// Runs the real programs in a profile of their own and clears up after them.

#include <QDir>
#include <QDirIterator>
#include <QElapsedTimer>
#include <QFile>
#include <QProcess>
#include <QProcessEnvironment>
#include <QStringList>
#include <QTemporaryDir>
#include <QTest>

#include <csignal>
#include <nlohmann/json.hpp>

namespace desk::test {

using CtlJson = nlohmann::json;

struct CtlRun
{
    int exitCode = -1;
    QByteArray out;
    QByteArray err;
    [[nodiscard]] QByteArray all() const { return QByteArray(out + err); }
    [[nodiscard]] CtlJson json() const { return CtlJson::parse(out.toStdString(), nullptr, false); }
};

class CtlFixture
{
public:
    CtlFixture() { QDir().mkpath(path("local")); }
    ~CtlFixture()
    {
        for (const qint64 pid : m_pids)
            ::kill(static_cast<pid_t>(pid), SIGKILL);
        QDirIterator configs(path("runs"), { QStringLiteral("config.json") }, QDir::Files,
            QDirIterator::Subdirectories);
        while (configs.hasNext())
            killPidOf(configs.next());
        killPidOf(path("local/ready.json"));
    }
    CtlFixture(const CtlFixture&) = delete;
    CtlFixture& operator=(const CtlFixture&) = delete;

    [[nodiscard]] QString path(const char* below) const
    {
        return m_folder.filePath(QString::fromLatin1(below));
    }
    [[nodiscard]] static QString program(const char* name)
    {
        return QStringLiteral(DESK_BIN_DIR "/") + QLatin1String(name);
    }
    void killLater(qint64 pid) { m_pids.append(pid); }

    /// Without a connection unless the arguments name one.
    [[nodiscard]] CtlRun run(const QStringList& arguments, int timeoutMs = 30000) const
    {
        QProcess process;
        configure(process, arguments);
        process.start();
        CtlRun result;
        if (process.waitForFinished(timeoutMs) && process.exitStatus() == QProcess::NormalExit)
            result.exitCode = process.exitCode();
        else
            process.kill();
        result.out = process.readAllStandardOutput();
        result.err = process.readAllStandardError();
        return result;
    }
    [[nodiscard]] CtlRun local(const QStringList& arguments) const
    {
        return run(QStringList { QStringLiteral("--connection"), QStringLiteral("local"),
                       QStringLiteral("--json") }
            + arguments);
    }
    void configure(QProcess& process, const QStringList& arguments) const
    {
        QProcessEnvironment environment = QProcessEnvironment::systemEnvironment();
        environment.remove(QStringLiteral("FIREWORKS_API_KEY"));
        environment.remove(QStringLiteral("TINKER_API_KEY"));
        environment.remove(QStringLiteral("DBUS_SESSION_BUS_ADDRESS"));
        process.setProcessEnvironment(environment);
        process.setProgram(program("trainerdesk-ctl"));
        process.setArguments(
            QStringList { QStringLiteral("--profile"), m_folder.path() } + arguments);
    }

    /// A backend of this profile that plays faults; ctl joins it.
    void startBackend(const QByteArray& faults)
    {
        QFile file(path("faults.json"));
        QVERIFY(file.open(QIODevice::WriteOnly));
        file.write(faults);
        file.close();
        QProcess process;
        process.setProgram(program("trainerdesk-local"));
        process.setArguments(
            { QStringLiteral("--data"), path("local"), QStringLiteral("--ready-file"),
                path("local/ready.json"), QStringLiteral("--faults"), path("faults.json") });
        process.setStandardOutputFile(QProcess::nullDevice());
        process.setStandardErrorFile(path("backend.log"));
        qint64 pid = 0;
        QVERIFY(process.startDetached(&pid));
        m_pids.append(pid);
        QTRY_VERIFY_WITH_TIMEOUT(QFile::exists(path("local/ready.json")), 20000);
    }
    [[nodiscard]] qint64 backendPid() const { return pidIn(path("local/ready.json")); }

    /// A text file and a recipe that trains on it for `steps` steps.
    [[nodiscard]] QString writeRecipe(const CtlJson& more) const
    {
        write(path("data.txt"),
            QByteArray("The desk answers. The customer asks again.\n").repeated(60));
        CtlJson recipe = { { "data", "data.txt" }, { "batch_size", 2 }, { "max_seq_len", 32 },
            { "max_steps", 6 }, { "learning_rate", 1e-3 } };
        recipe.update(more);
        write(path("recipe.json"), QByteArray::fromStdString(recipe.dump()));
        return path("recipe.json");
    }
    static void write(const QString& file, const QByteArray& bytes)
    {
        QFile out(file);
        QVERIFY(out.open(QIODevice::WriteOnly));
        out.write(bytes);
    }
    [[nodiscard]] static QByteArray read(const QString& file)
    {
        QFile in(file);
        return in.open(QIODevice::ReadOnly) ? in.readAll() : QByteArray();
    }
    [[nodiscard]] static qint64 pidIn(const QString& file)
    {
        const auto json = CtlJson::parse(read(file).toStdString(), nullptr, false);
        return json.is_object() && json.contains("pid") ? json["pid"].get<qint64>() : 0;
    }
    [[nodiscard]] static bool isAlive(qint64 pid)
    {
        // A process that is gone but not reaped yet has an empty command line.
        return !read(QStringLiteral("/proc/%1/cmdline").arg(pid)).isEmpty();
    }

private:
    static void killPidOf(const QString& file)
    {
        const qint64 pid = pidIn(file);
        if (pid > 1)
            ::kill(static_cast<pid_t>(pid), SIGKILL);
    }
    QTemporaryDir m_folder;
    QList<qint64> m_pids;
};

} // namespace desk::test
