// SPDX-License-Identifier: GPL-3.0-or-later
// Field cases of adapters: names and shapes that miss the base, adapters that change nothing.
#include "services/operations/preflight.h"
#include "tests/services/desk_fixture.h"
#include "tests/services/fake_plane.h"

#include <QTemporaryDir>

using namespace desk;
using namespace desk::test;
using namespace Qt::StringLiterals;

namespace {

std::filesystem::path field(const char* path)
{
    return std::filesystem::path(DESK_TEST_DATA) / "field" / path;
}

/// A control plane whose only sampler row is this adapter, on this base.
struct AdapterPlane
{
    AdapterPlane(const char* adapter, const char* base)
    {
        plane.checkpoints = { FakePlane::row(
            "step-0010-a1b2c3d4", CheckpointType::InferenceLora, 10) };
        plane.checkpoints[0].isPromotable = true;
        plane.checkpoints[0].path = field(adapter).string();
        Model model;
        model.name = FakePlane::kBaseModel;
        model.state = "READY";
        model.path = field(base).string();
        plane.models.push_back(model);
        desk = std::make_unique<DeskProcess>(
            dir.filePath(u"journal.sqlite"_s), plane.server.url(), "local");
    }
    Result<OperationPlan> plan(OperationKind kind)
    {
        if (const auto opened = endOf(desk->center->start()); !opened)
            return opened.error();
        auto draft = draftFor(kind, FakePlane::kDeployment, { { "model_id", "adapter-v1" } });
        draft.subject = plane.checkpoints[0].name;
        return endOf(desk->center->plan(draft));
    }
    QTemporaryDir dir;
    FakePlane plane;
    std::unique_ptr<DeskProcess> desk;
};

} // namespace

class AdapterCheckTest final : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void p013_modulesThatLand_data()
    {
        QTest::addColumn<QByteArray>("adapter");
        QTest::addColumn<QByteArray>("result");
        QTest::addColumn<QByteArray>("words");
        QTest::newRow("text names")
            << QByteArray("P013/adapter_text_names") << QByteArray("fail")
            << QByteArray("0 of 2 modules match; example: model.layers.0.mlp.down_proj, base has "
                          "model.language_model.layers.0.mlp.down_proj");
        QTest::newRow("fitting names") << QByteArray("P013/adapter_fitting_names")
                                       << QByteArray("pass") << QByteArray("2 of 2 modules match");
        QTest::newRow("zero B") << QByteArray("P013/adapter_zero_b") << QByteArray("warn")
                                << QByteArray("every lora_B is zero: the adapter changes nothing");
        QTest::newRow("empty") << QByteArray("P013/adapter_empty") << QByteArray("fail")
                               << QByteArray("the adapter holds no modules");
    }
    void p013_modulesThatLand()
    {
        QFETCH(QByteArray, adapter);
        QFETCH(QByteArray, result);
        QFETCH(QByteArray, words);
        for (const auto kind : { OperationKind::Promote, OperationKind::Hotload }) {
            AdapterPlane one(adapter.constData(), "P013/base.safetensors");
            const auto plan = one.plan(kind);
            QVERIFY2(plan, plan ? "" : plan.error().message.c_str());
            const auto* check = checkNamed(*plan, "adapter");
            QVERIFY(check != nullptr);
            QCOMPARE(QByteArray(toString(check->result)), result);
            QVERIFY2(QByteArray::fromStdString(check->why).contains(words), check->why.c_str());
            QCOMPARE(plan->isAllowed, result != "fail");
            QCOMPARE(one.plane.posts(), 0);
        }
    }

    void p015_aBaseOfAnotherSize()
    {
        AdapterPlane wrong("P015/adapter", "P015/base_160.safetensors");
        const auto refused = wrong.plan(OperationKind::Promote);
        QVERIFY(refused && !refused->isAllowed);
        QCOMPARE(checkNamed(*refused, "adapter")->why,
            std::string("model.embed_tokens.weight is 152x8 in the adapter and 160x8 in desk-tiny; "
                        "the adapter names the base acme/tiny-152"));
        QVERIFY(!endOf(wrong.desk->center->commit(*refused)));
        QCOMPARE(wrong.plane.posts(), 0);
        AdapterPlane right("P015/adapter", "P015/base_152.safetensors");
        const auto allowed = right.plan(OperationKind::Promote);
        QVERIFY(allowed && checkNamed(*allowed, "adapter") != nullptr);
        QVERIFY(checkNamed(*allowed, "adapter")->result != CheckKind::Fail);
    }

    void filesThatCannotBeRead_areSaid()
    {
        AdapterPlane none("P013/no_such_adapter", "P013/base.safetensors");
        const auto plan = none.plan(OperationKind::Promote);
        QVERIFY(plan && !plan->isAllowed);
        QVERIFY(checkNamed(*plan, "adapter")->why.find("adapter_model.safetensors")
            != std::string::npos);
    }
};

QTEST_GUILESS_MAIN(AdapterCheckTest)
#include "tst_adapter_check.moc"
