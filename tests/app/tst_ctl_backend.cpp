// SPDX-License-Identifier: GPL-3.0-or-later
// trainerdesk-ctl against the real backend: training, its ends, lost replies, refusals.
#include "tests/app/ctl_fixture.h"

#include <QRegularExpression>

#include <set>

using desk::test::CtlFixture;
using desk::test::CtlJson;
using desk::test::CtlRun;
using namespace Qt::StringLiterals;

namespace {

QString textOf(const CtlJson& value)
{
    return value.is_string() ? QString::fromStdString(value.get<std::string>()) : QString();
}

/// Steps of the lines that hold a training loss, in file order.
QList<int> stepsOf(const QString& runDir)
{
    QList<int> steps;
    for (const QByteArray& line : CtlFixture::read(runDir + u"/metrics.jsonl"_s).split('\n')) {
        const auto json = CtlJson::parse(line.toStdString(), nullptr, false);
        if (json.is_object() && json.contains("train/loss"))
            steps.append(json["step"].get<int>());
    }
    return steps;
}

CtlJson statusOf(const QString& runDir)
{
    return CtlJson::parse(
        CtlFixture::read(runDir + u"/status.json"_s).toStdString(), nullptr, false);
}

bool isOneToN(const QList<int>& steps)
{
    for (qsizetype i = 0; i < steps.size(); ++i)
        if (steps[i] != i + 1)
            return false;
    return true;
}

} // namespace

class TestCtlBackend : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void aRecipe_trainsToItsEndAndLeavesSomethingPromotable()
    {
        const CtlFixture ctl;
        const QString recipe = ctl.writeRecipe({ { "max_steps", 6 }, { "state_save_every", 4 },
            { "eval_data", "data.txt" }, { "eval_every", 3 }, { "name", "short" } });
        const QString runDir = ctl.path("runs/one");
        const CtlRun run = ctl.local({ u"train"_s, recipe, u"--run-dir"_s, runDir });
        QVERIFY2(run.exitCode == 0, run.all().constData());
        const QString job = textOf(run.json()["job"]);
        QCOMPARE(stepsOf(runDir), (QList<int> { 1, 2, 3, 4, 5, 6 }));
        QVERIFY(CtlFixture::read(runDir + u"/metrics.jsonl"_s).count("eval/loss") == 3);
        QCOMPARE(statusOf(runDir)["message"].get<std::string>(), "completed");
        QVERIFY(!QFile::exists(runDir + u"/control.sock"_s));
        const CtlJson config =
            CtlJson::parse(CtlFixture::read(runDir + u"/config.json"_s).toStdString());
        QCOMPARE(textOf(config["job"]), job);
        QVERIFY(!CtlFixture::read(runDir + u"/config.json"_s)
                     .contains(CtlFixture::read(ctl.path("local/key")).trimmed()));

        const CtlJson list = ctl.local({ u"checkpoints"_s, u"list"_s, job }).json();
        QCOMPARE(list["items"].size(), std::size_t { 3 }); // step-0004, final state, final base
        const CtlRun metrics = ctl.run({ u"metrics"_s, u"read"_s, runDir, u"--json"_s });
        QCOMPARE(metrics.json()["runs"][0]["state"].get<std::string>(), "finished");

        const CtlRun promoted =
            ctl.local({ u"promote"_s, job + u"/final"_s, u"--model-id"_s, u"short-v1"_s });
        // The train state is called `final` too; it is not what can be promoted.
        QVERIFY2(promoted.exitCode == 0, promoted.all().constData());
        const CtlRun again = ctl.local({ u"train"_s, recipe, u"--run-dir"_s, runDir });
        QCOMPARE(again.exitCode, 4);
        QCOMPARE(again.json()["error"]["code"].get<std::string>(), "conflict");
    }

    void jsonLines_trainOnWhatTheAssistantSays()
    {
        const CtlFixture ctl;
        CtlFixture::write(ctl.path("chat.jsonl"),
            "{\"prompt\":\"Customer: hello\\nDesk:\",\"completion\":\" Good morning.\"}\n"
            "{\"messages\":[{\"role\":\"user\",\"content\":\"hi\"},"
            "{\"role\":\"assistant\",\"content\":\"Good day.\"}]}\n");
        const QString recipe = ctl.writeRecipe({ { "data", "chat.jsonl" }, { "max_steps", 3 } });
        const CtlRun run = ctl.local({ u"train"_s, recipe, u"--run-dir"_s, ctl.path("runs/chat") });
        QVERIFY2(run.exitCode == 0, run.all().constData());
        CtlFixture::write(ctl.path("chat.jsonl"), "{\"prompt\":\"a\"}\n");
        const CtlRun broken =
            ctl.local({ u"train"_s, recipe, u"--run-dir"_s, ctl.path("runs/bad"), u"--detach"_s });
        QCOMPARE(broken.exitCode, 3);
        QVERIFY(textOf(broken.json()["error"]["message"]).contains(u"line 1"_s));
    }

    void sigterm_endsATrainingInOrder()
    {
        const CtlFixture ctl;
        const QString recipe = ctl.writeRecipe({ { "max_steps", 100000 } });
        const QString runDir = ctl.path("runs/long");
        QProcess process;
        ctl.configure(process,
            { u"--connection"_s, u"local"_s, u"--json"_s, u"train"_s, recipe, u"--run-dir"_s,
                runDir });
        process.start();
        QTRY_VERIFY_WITH_TIMEOUT(stepsOf(runDir).size() > 3, 20000);
        process.terminate();
        QVERIFY(process.waitForFinished(15000));
        QCOMPARE(process.exitCode(), 0);
        QVERIFY(isOneToN(stepsOf(runDir)));
        QCOMPARE(statusOf(runDir)["code"].get<int>(), 1);
        QVERIFY(CtlFixture::read(runDir + u"/checkpoints.jsonl"_s).contains("\"kind\":\"state\""));
    }

    void aKilledTraining_continuesFromItsNewestState()
    {
        const CtlFixture ctl;
        const QString recipe = ctl.writeRecipe({ { "max_steps", 40 }, { "state_save_every", 5 } });
        const QString runDir = ctl.path("runs/killed");
        const CtlRun run = ctl.local({ u"train"_s, recipe, u"--run-dir"_s, runDir, u"--detach"_s });
        QVERIFY2(run.exitCode == 0, run.all().constData());
        QTRY_VERIFY_WITH_TIMEOUT(stepsOf(runDir).size() > 12, 20000);
        const auto pid = run.json()["pid"].get<qint64>();
        ::kill(static_cast<pid_t>(pid), SIGKILL);
        QTRY_VERIFY(!CtlFixture::isAlive(pid));
        // A half line, as a kill in the middle of a write leaves it.
        QFile ledger(runDir + u"/metrics.jsonl"_s);
        QVERIFY(ledger.open(QIODevice::Append));
        ledger.write("{\"step\":99,\"train/lo");
        ledger.close();

        const CtlRun dead = ctl.local({ u"save"_s, textOf(run.json()["job"]), u"--kind"_s,
            u"base"_s, u"--name"_s, u"late"_s });
        QCOMPARE(dead.exitCode, 1);
        QVERIFY(!textOf(dead.json()["error"]["next"]).isEmpty());

        const CtlRun continued = ctl.local({ u"train"_s, u"--continue"_s, u"--run-dir"_s, runDir });
        QVERIFY2(continued.exitCode == 0, continued.all().constData());
        QCOMPARE(textOf(continued.json()["job"]), textOf(run.json()["job"]));
        const QList<int> steps = stepsOf(runDir);
        QCOMPARE(steps.size(), qsizetype { 40 });
        QVERIFY2(isOneToN(steps), qPrintable(QDebug::toString(steps)));
        QCOMPARE(ctl.run({ u"metrics"_s, u"read"_s, runDir, u"--json"_s })
                     .json()["malformed"]["skipped"]
                     .get<int>(),
            0);
        QVERIFY(!QDir(runDir).entryList({ u"metrics.jsonl.pre_resume_*"_s }).isEmpty());
    }

    void aKilledBackend_endsTheTrainingWithAClearMessage()
    {
        const CtlFixture ctl;
        const QString recipe = ctl.writeRecipe({ { "max_steps", 400 }, { "state_save_every", 5 } });
        const QString runDir = ctl.path("runs/orphan");
        const CtlRun run = ctl.local({ u"train"_s, recipe, u"--run-dir"_s, runDir, u"--detach"_s });
        QVERIFY2(run.exitCode == 0, run.all().constData());
        QTRY_VERIFY_WITH_TIMEOUT(stepsOf(runDir).size() > 8, 20000);
        ::kill(static_cast<pid_t>(ctl.backendPid()), SIGKILL);
        QTRY_VERIFY_WITH_TIMEOUT(statusOf(runDir)["code"].get<int>() != 0, 20000);
        // The outcome is written before the process ends and lets go of the folder.
        const auto pid = run.json()["pid"].get<qint64>();
        QTRY_VERIFY_WITH_TIMEOUT(!CtlFixture::isAlive(pid), 20000);
        const CtlJson outcome = CtlJson::parse(
            CtlFixture::read(runDir + u"/outcome.json"_s).toStdString(), nullptr, false);
        QVERIFY(textOf(outcome["error"]["next"]).contains(u"--continue"_s));

        // The backend is started again and the run goes on where its newest state is.
        CtlJson shorter =
            CtlJson::parse(CtlFixture::read(runDir + u"/recipe.json"_s).toStdString());
        const int reached = static_cast<int>(stepsOf(runDir).size());
        shorter["max_steps"] = reached + 5;
        CtlFixture::write(runDir + u"/recipe.json"_s, QByteArray::fromStdString(shorter.dump()));
        const CtlRun continued = ctl.local({ u"train"_s, u"--continue"_s, u"--run-dir"_s, runDir });
        QVERIFY2(continued.exitCode == 0, continued.all().constData());
        QVERIFY(isOneToN(stepsOf(runDir)));
        QCOMPARE(stepsOf(runDir).size(), qsizetype { reached + 5 });
    }

    void aLostPromotion_isUnknownAndReconciledNotRepeated()
    {
        CtlFixture ctl;
        ctl.startBackend("[{\"route\":\"POST */checkpoints/*:promote\",\"nth\":1,"
                         "\"action\":\"drop-reply\"}]");
        const QString job = trainShort(ctl, "lost");
        const QString base = sampler(ctl, job);
        const CtlRun lost = ctl.local({ u"promote"_s, base, u"--model-id"_s, u"lost-v1"_s });
        QCOMPARE(lost.exitCode, 6);
        QCOMPARE(lost.json()["state"].get<std::string>(), "unknown");
        QVERIFY(!textOf(lost.json()["error"]["next"]).isEmpty());

        const CtlRun found = ctl.local({ u"operations"_s, u"reconcile"_s });
        QVERIFY2(found.exitCode == 0, found.all().constData());
        QCOMPARE(found.json()["items"][0]["state"].get<std::string>(), "succeeded");
        const CtlJson models = ctl.local({ u"models"_s, u"list"_s }).json();
        int promoted = 0;
        for (const CtlJson& model : models["items"])
            promoted += model["id"] == "lost-v1" ? 1 : 0;
        QCOMPARE(promoted, 1);
        // Asking again is refused before anything is sent.
        QCOMPARE(ctl.local({ u"promote"_s, base, u"--model-id"_s, u"lost-v1"_s }).exitCode, 1);
    }

    void refusals_sendNothing()
    {
        const CtlFixture ctl;
        const QString job = trainShort(ctl, "refuse");
        const QString base = sampler(ctl, job);
        const CtlRun badId =
            ctl.local({ u"promote"_s, base, u"--model-id"_s, u"Bad Name"_s, u"--dry-run"_s });
        QCOMPARE(badId.exitCode, 1);
        QCOMPARE(badId.json()["allowed"].get<bool>(), false);
        QCOMPARE(ctl.local({ u"promote"_s, base, u"--model-id"_s, u"Bad Name"_s }).exitCode, 1);
        const CtlRun dry =
            ctl.local({ u"promote"_s, base, u"--model-id"_s, u"fine-v1"_s, u"--dry-run"_s });
        QCOMPARE(dry.exitCode, 0);
        QCOMPARE(dry.json()["request"]["method"].get<std::string>(), "POST");
        QVERIFY(!dry.out.contains(CtlFixture::read(ctl.path("local/key")).trimmed()));
        const CtlRun none =
            ctl.local({ u"promote"_s, job + u"/no-such"_s, u"--model-id"_s, u"fine-v1"_s });
        QCOMPARE(none.exitCode, 1);
        QCOMPARE(ctl.local({ u"jobs"_s, u"show"_s, u"no-such-job"_s }).exitCode, 1);
        // Nothing of all this is in the journal.
        QVERIFY(ctl.local({ u"operations"_s, u"list"_s }).json()["items"].empty());
        // The pair form still works, with a warning.
        const CtlRun pair = ctl.local({ u"promote"_s, u"--job"_s, job, u"--checkpoint"_s,
            base.section(u'/', -1), u"--model-id"_s, u"pair-v1"_s });
        QVERIFY2(pair.exitCode == 0, pair.all().constData());
        QVERIFY(textOf(pair.json()["warnings"][0]).contains(u"deprecated"_s));
    }

    void aWrongKey_exits4AndIsNotShown()
    {
        const CtlFixture ctl;
        QCOMPARE(ctl.local({ u"jobs"_s, u"list"_s }).exitCode, 0);
        const auto ready =
            CtlJson::parse(CtlFixture::read(ctl.path("local/ready.json")).toStdString());
        CtlFixture::write(ctl.path("wrong"), "tml-not-the-right-key\n");
        QFile::setPermissions(ctl.path("wrong"), QFile::ReadOwner | QFile::ReadOther);
        const CtlRun run = ctl.run({ u"jobs"_s, u"list"_s, u"--json"_s, u"--connection"_s,
            textOf(ready["url"]), u"--key-file"_s, ctl.path("wrong") });
        QCOMPARE(run.exitCode, 4);
        QCOMPARE(run.json()["error"]["code"].get<std::string>(), "auth");
        QVERIFY(textOf(run.json()["warnings"][0]).contains(u"other users"_s));
        QVERIFY(!run.all().contains("not-the-right-key"));
    }

    void jobs_areCreatedJournaledAndDeleted()
    {
        const CtlFixture ctl;
        const CtlRun made = ctl.local({ u"jobs"_s, u"create"_s, u"--base-model"_s, u"desk-tiny"_s,
            u"--name"_s, u"trial"_s, u"--wait"_s });
        QVERIFY2(made.exitCode == 0, made.all().constData());
        QCOMPARE(made.json()["kind"].get<std::string>(), "create");
        const QString job = textOf(made.json()["target"]);
        const CtlRun shown = ctl.local({ u"jobs"_s, u"show"_s, job });
        QCOMPARE(textOf(shown.json()["display_name"]), u"trial"_s);
        QVERIFY(shown.json()["step"].is_null());
        const CtlRun saved =
            ctl.local({ u"save"_s, job, u"--kind"_s, u"base"_s, u"--name"_s, u"b"_s });
        QCOMPARE(saved.exitCode, 1); // no run trains it
        QVERIFY2(ctl.local({ u"jobs"_s, u"delete"_s, job }).exitCode == 0, "delete");
        const CtlJson journal = ctl.run({ u"operations"_s, u"list"_s, u"--json"_s }).json();
        QCOMPARE(journal["items"].size(), std::size_t { 2 });
    }

private:
    /// Trains a few steps to the end; the job's full name.
    static QString trainShort(const CtlFixture& ctl, const char* name)
    {
        const QString recipe = ctl.writeRecipe({ { "max_steps", 3 } });
        const CtlRun run = ctl.local(
            { u"train"_s, recipe, u"--run-dir"_s, ctl.path("runs/") + QLatin1String(name) });
        return textOf(run.json()["job"]);
    }
    /// The promotable save that the run left.
    static QString sampler(const CtlFixture& ctl, const QString& job)
    {
        const CtlJson list = ctl.local({ u"checkpoints"_s, u"list"_s, job }).json();
        for (const CtlJson& item : list["items"])
            if (item["promotable"].get<bool>())
                return textOf(item["name"]);
        return {};
    }
};

QTEST_GUILESS_MAIN(TestCtlBackend)
#include "tst_ctl_backend.moc"
