// SPDX-License-Identifier: GPL-3.0-or-later
// The verbs on jobs, checkpoints, models and deployments, one by one, against the real backend.
#include "tests/app/ctl_fixture.h"

using desk::test::CtlFixture;
using desk::test::CtlJson;
using desk::test::CtlRun;
using namespace Qt::StringLiterals;

namespace {

QString wordOf(const CtlJson& value)
{
    return value.is_string() ? QString::fromStdString(value.get<std::string>()) : QString();
}

} // namespace

#define REQUIRE_EXIT(run, code)                                                                    \
    do {                                                                                           \
        const CtlRun once = (run);                                                                 \
        QVERIFY2(once.exitCode == (code), once.all().constData());                                 \
    } while (false)

/// One backend and one short training for all.
class TestCtlVerbs : public QObject
{
    Q_OBJECT

private:
    std::unique_ptr<CtlFixture> m_ctl;
    QString m_job; // full name
    QString m_base; // first base save
    QString m_lastBase;
    QString m_state;

    [[nodiscard]] CtlRun local(const QStringList& arguments) const
    {
        return m_ctl->local(arguments);
    }
    [[nodiscard]] CtlJson rows() const
    {
        return local({ u"checkpoints"_s, u"list"_s, m_job }).json()["items"];
    }
    [[nodiscard]] CtlJson journal() const
    {
        return m_ctl->run({ u"operations"_s, u"list"_s, u"--json"_s }).json()["items"];
    }

private Q_SLOTS:
    void initTestCase()
    {
        m_ctl = std::make_unique<CtlFixture>();
        const QString recipe = m_ctl->writeRecipe({ { "max_steps", 6 }, { "state_save_every", 2 },
            { "sampler_save_every", 2 }, { "checkpoint_type", "base" }, { "name", "verbs" } });
        const CtlRun run = local({ u"train"_s, recipe, u"--run-dir"_s, m_ctl->path("runs/v") });
        REQUIRE_EXIT(run, 0);
        m_job = wordOf(run.json()["job"]);
        for (const CtlJson& row : rows()) { // newest first
            if (row["kind"] == "state") {
                m_state = wordOf(row["name"]);
            } else if (row["kind"] == "base") {
                m_lastBase = m_lastBase.isEmpty() ? wordOf(row["name"]) : m_lastBase;
                m_base = wordOf(row["name"]);
            }
        }
        QVERIFY(!m_base.isEmpty() && m_base != m_lastBase && !m_state.isEmpty());
    }
    void cleanupTestCase() { m_ctl.reset(); }

    void s4_s13_listSaysWhatMayBecomeOfEachRow()
    {
        const CtlJson items = rows();
        QVERIFY(items.size() >= 5);
        std::string last = "9999";
        for (const CtlJson& row : items) {
            QVERIFY(row["created"].get<std::string>() <= last);
            last = row["created"].get<std::string>();
            if (row["kind"] == "base") {
                QVERIFY(row["promotable"].get<bool>() && row["why_not"].is_null());
            } else {
                QCOMPARE(row["why_not"].get<std::string>(),
                    "a training state is for resuming, not for serving");
            }
        }
        const CtlRun shown =
            m_ctl->run({ u"--connection"_s, u"local"_s, u"checkpoints"_s, u"show"_s, m_state });
        QVERIFY(shown.out.contains("not promotable: a training state is for resuming"));
    }

    void s6_expiryIsShownAndChanged()
    {
        QVERIFY(local({ u"checkpoints"_s, u"show"_s, m_base }).json()["expires"].is_null());
        const CtlRun dry =
            local({ u"checkpoints"_s, u"extend"_s, m_base, u"--ttl"_s, u"7200"_s, u"--dry-run"_s });
        REQUIRE_EXIT(dry, 0);
        QCOMPARE(dry.json()["request"]["method"].get<std::string>(), "PUT");
        QVERIFY(local({ u"checkpoints"_s, u"show"_s, m_base }).json()["expires"].is_null());
        const CtlRun extended =
            local({ u"checkpoints"_s, u"extend"_s, m_base, u"--ttl"_s, u"7200"_s });
        REQUIRE_EXIT(extended, 0);
        QCOMPARE(extended.json()["kind"].get<std::string>(), "extend");
        QVERIFY(!extended.json()["result"]["expires"].is_null());
        QVERIFY(!local({ u"checkpoints"_s, u"show"_s, m_base }).json()["expires"].is_null());
        const CtlRun text =
            m_ctl->run({ u"--connection"_s, u"local"_s, u"checkpoints"_s, u"list"_s, m_job });
        QVERIFY2(text.out.contains("EXPIRES") && text.out.contains("in 119 min"),
            text.all().constData());
        REQUIRE_EXIT(local({ u"checkpoints"_s, u"extend"_s, m_base, u"--ttl"_s, u"never"_s }), 0);
        QVERIFY(local({ u"checkpoints"_s, u"show"_s, m_base }).json()["expires"].is_null());
        REQUIRE_EXIT(local({ u"checkpoints"_s, u"extend"_s, m_state, u"--ttl"_s, u"5"_s }), 1);
    }

    void s7_s8_s9_promotionInEveryForm()
    {
        const CtlRun byName = local({ u"promote"_s, m_lastBase, u"--model-id"_s, u"by-name"_s });
        REQUIRE_EXIT(byName, 0);
        QVERIFY(!byName.json().contains("warnings") || !byName.out.contains("deprecated"));
        QCOMPARE(
            byName.json()["result"]["promoted_from"].get<std::string>(), m_lastBase.toStdString());
        const CtlRun pair = local({ u"promote"_s, u"--job"_s, m_job, u"--checkpoint"_s,
            m_lastBase.section(u'/', -1), u"--model-id"_s, u"by-pair"_s });
        REQUIRE_EXIT(pair, 0);
        const CtlJson operation = pair.json();
        QVERIFY(operation["warnings"].dump().find("deprecated") != std::string::npos);
        QVERIFY(operation["result"]["warnings"].dump().find("deprecated") != std::string::npos);
        bool isJournaled = false;
        const CtlJson newest = journal()[0];
        for (const CtlJson& stage : newest["stages"])
            isJournaled = isJournaled || stage["stage"] == "warning";
        QVERIFY(isJournaled);
        const CtlRun old = m_ctl->run({ u"--connection"_s, u"local"_s, u"promote"_s, u"--job"_s,
            m_job, u"--checkpoint"_s, m_lastBase.section(u'/', -1), u"--model-id"_s, u"by-old"_s,
            u"--hot-load-deployment"_s, u"eval"_s });
        REQUIRE_EXIT(old, 0);
        QVERIFY(old.err.contains("Warning: ") && old.err.contains("deprecated"));
        QVERIFY(old.err.contains("hot_load_deployment_id is deprecated"));
    }

    void s11_s12_idsAndInheritance()
    {
        const auto before = journal().size();
        for (const char* id : { "Math", "a_b", "" })
            QVERIFY(local({ u"promote"_s, m_lastBase, u"--model-id"_s, QLatin1String(id) }).exitCode
                > 0);
        REQUIRE_EXIT(local({ u"promote"_s, m_state, u"--model-id"_s, u"of-a-state"_s }), 1);
        QCOMPARE(journal().size(), before); // nothing was sent
        const CtlJson model = local({ u"models"_s, u"show"_s, u"by-name"_s }).json();
        QCOMPARE(model["base_model"].get<std::string>(), "accounts/local/models/desk-tiny");
        QCOMPARE(model["kind"].get<std::string>(), "HF_BASE_MODEL");
        const CtlJson base = local({ u"models"_s, u"show"_s, u"desk-tiny"_s }).json();
        QVERIFY(model["context_length"] == base["context_length"]);
    }

    void models_areExportedWhole()
    {
        const QString folder = m_ctl->path("exported");
        const CtlRun run = local({ u"models"_s, u"export"_s, u"by-name"_s, folder });
        REQUIRE_EXIT(run, 0);
        const CtlJson done = run.json();
        const QString source =
            wordOf(local({ u"models"_s, u"show"_s, u"by-name"_s }).json()["path"]);
        QVERIFY(done["files"].size() >= 2);
        for (const CtlJson& file : done["files"])
            QVERIFY(CtlFixture::read(folder + u'/' + wordOf(file))
                == CtlFixture::read(source + u'/' + wordOf(file)));
        QCOMPARE(QDir(m_ctl->path(".")).entryList({ u"*.part-*"_s }).size(), 0);
        const CtlRun again = local({ u"models"_s, u"export"_s, u"by-name"_s, folder });
        REQUIRE_EXIT(again, 4);
        QCOMPARE(again.json()["error"]["code"].get<std::string>(), "conflict");
        REQUIRE_EXIT(local({ u"models"_s, u"export"_s, u"none"_s, m_ctl->path("x") }), 1);
        QVERIFY(!QFile::exists(m_ctl->path("x")));
        REQUIRE_EXIT(local({ u"models"_s, u"delete"_s, u"by-old"_s }), 0);
    }

    void s15_hotloadScaleAndPrevious()
    {
        REQUIRE_EXIT(local({ u"deployments"_s, u"create"_s, u"--job"_s, m_job, u"--replicas"_s,
                         u"2"_s, u"--name"_s, u"eval"_s }),
            0);
        REQUIRE_EXIT(local({ u"deployments"_s, u"previous"_s, u"eval"_s }), 1);
        const CtlRun first = local({ u"hotload"_s, m_base, u"--deployment"_s, u"eval"_s });
        REQUIRE_EXIT(first, 0);
        QCOMPARE(first.json()["result"]["replica"].size(), std::size_t { 2 });
        for (const char* policy : { "none", "new_session", "all" })
            REQUIRE_EXIT(local({ u"hotload"_s, m_lastBase, u"--deployment"_s, u"eval"_s,
                             u"--full"_s, u"--reset-prompt-cache"_s, QLatin1String(policy) }),
                0);
        const CtlRun back = local({ u"deployments"_s, u"previous"_s, u"eval"_s });
        REQUIRE_EXIT(back, 0);
        QCOMPARE(back.json()["kind"].get<std::string>(), "previous");
        QCOMPARE(wordOf(back.json()["result"]["identity"]), m_base.section(u'/', -1));
        const CtlRun up = local({ u"deployments"_s, u"scale"_s, u"eval"_s, u"3"_s });
        REQUIRE_EXIT(up, 0);
        QCOMPARE(up.json()["result"]["replicas"].get<int>(), 3);
        QCOMPARE(up.json()["result"]["ready"].get<int>(), 3);
        REQUIRE_EXIT(local({ u"deployments"_s, u"scale"_s, u"eval"_s, u"many"_s }), 1);
        REQUIRE_EXIT(local({ u"deployments"_s, u"scale"_s, u"eval"_s, u"1"_s, u"--dry-run"_s }), 0);
        const CtlRun down = local({ u"deployments"_s, u"scale"_s, u"eval"_s, u"1"_s });
        REQUIRE_EXIT(down, 0);
        QCOMPARE(wordOf(local({ u"deployments"_s, u"show"_s, u"eval"_s }).json()["identity"]),
            m_base.section(u'/', -1));
        const CtlRun early =
            local({ u"hotload"_s, m_lastBase, u"--deployment"_s, u"eval"_s, u"--no-wait"_s });
        REQUIRE_EXIT(early, 0);
    }

    void resumeRef_namesTheNewestState()
    {
        const QString id = m_job.section(u'/', -1);
        const CtlJson newest = local({ u"resume-ref"_s, id }).json();
        QVERIFY(wordOf(newest["reference"]).startsWith(id + u':'));
        QVERIFY(newest["restores"]["optimizer"].get<bool>());
        QVERIFY(newest["restores"]["step"].get<bool>());
        const CtlJson chosen = local(
            { u"resume-ref"_s, m_ctl->path("runs/v"), u"--from"_s, m_state.section(u'/', -1) })
                                   .json();
        QCOMPARE(wordOf(chosen["reference"]), id + u':' + m_state.section(u'/', -1));
        const CtlRun sampler =
            local({ u"resume-ref"_s, id, u"--from"_s, m_base.section(u'/', -1) });
        REQUIRE_EXIT(sampler, 1);
        QVERIFY(sampler.out.contains("weights for serving"));
    }

    void s25_jobsThroughTheirStates()
    {
        const CtlRun dry =
            local({ u"jobs"_s, u"create"_s, u"--base-model"_s, u"desk-tiny"_s, u"--dry-run"_s });
        REQUIRE_EXIT(dry, 0);
        QVERIFY(dry.json()["allowed"].get<bool>());
        const CtlRun made = local({ u"jobs"_s, u"create"_s, u"--base-model"_s, u"desk-tiny"_s,
            u"--name"_s, u"trial"_s, u"--wait"_s });
        REQUIRE_EXIT(made, 0);
        const QString job = wordOf(made.json()["target"]);
        QVERIFY(wordOf(made.json()["result"]["endpoint"])
                    .endsWith(u"/training/v1/rlorTrainerJobs/local/"_s + job.section(u'/', -1)));
        REQUIRE_EXIT(local({ u"jobs"_s, u"resume"_s, job }), 1); // it runs
        REQUIRE_EXIT(local({ u"jobs"_s, u"cancel"_s, job, u"--dry-run"_s }), 0);
        REQUIRE_EXIT(local({ u"jobs"_s, u"cancel"_s, job }), 0);
        QCOMPARE(
            wordOf(local({ u"jobs"_s, u"show"_s, job }).json()["state"]), u"JOB_STATE_CANCELLED"_s);
        REQUIRE_EXIT(local({ u"jobs"_s, u"cancel"_s, job }), 1);
        const CtlRun resumed = local({ u"jobs"_s, u"resume"_s, job, u"--wait"_s });
        REQUIRE_EXIT(resumed, 0);
        QVERIFY(!resumed.json()["result"]["endpoint"].is_null());
        REQUIRE_EXIT(local({ u"jobs"_s, u"delete"_s, job }), 0);
        const CtlRun gone = local({ u"jobs"_s, u"resume"_s, job });
        REQUIRE_EXIT(gone, 1);
        const CtlJson list = local({ u"jobs"_s, u"list"_s }).json();
        for (const CtlJson& row : list["items"])
            QVERIFY(wordOf(row["name"]) != job);
    }

    void checkpoints_areDeletedOneAfterTheOther()
    {
        const auto before = rows().size();
        REQUIRE_EXIT(local({ u"checkpoints"_s, u"delete"_s, m_base, u"--dry-run"_s }), 0);
        QCOMPARE(rows().size(), before);
        const CtlRun two = local({ u"checkpoints"_s, u"delete"_s, m_base, m_state });
        REQUIRE_EXIT(two, 0);
        QCOMPARE(two.json()["items"].size(), std::size_t { 2 });
        QCOMPARE(rows().size(), before - 2);
        REQUIRE_EXIT(local({ u"checkpoints"_s, u"delete"_s, m_base }), 1);
    }

    void s10_promotionOfADeletedTrainer()
    {
        REQUIRE_EXIT(local({ u"jobs"_s, u"delete"_s, m_job }), 0);
        const CtlRun promoted =
            local({ u"promote"_s, m_lastBase, u"--model-id"_s, u"after-the-end"_s });
        REQUIRE_EXIT(promoted, 0);
        QCOMPARE(promoted.json()["result"]["state"].get<std::string>(), "READY");
    }

    void everyChangeIsInTheJournal()
    {
        std::map<std::string, int> kinds;
        for (const CtlJson& operation : journal()) {
            ++kinds[operation["kind"].get<std::string>()];
            QVERIFY(operation["stages"][0]["stage"] == "sent");
        }
        for (const char* kind : { "create", "cancel", "resume", "delete", "extend", "scale",
                 "previous", "promote", "hotload" })
            QVERIFY2(kinds[kind] > 0, kind);
    }
};

QTEST_GUILESS_MAIN(TestCtlVerbs)
#include "tst_ctl_verbs.moc"
