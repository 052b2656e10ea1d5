// SPDX-License-Identifier: GPL-3.0-or-later
// The calls of the training client against the real embedded backend: what they do to the numbers.
#include "tests/services/local_desk.h"

#include <QElapsedTimer>
#include <QFileInfo>
#include <QTest>

#include <cmath>
#include <map>
#include <memory>

using namespace desk;
using namespace desk::test;
using namespace std::chrono_literals;
using namespace Qt::StringLiterals;

class TrainingAgainstLocalTest final : public QObject
{
    Q_OBJECT

private:
    LocalDesk m_desk;
    std::map<std::string, std::unique_ptr<FiretitanServiceClient>> m_services;

    using Client = std::shared_ptr<FiretitanTrainingClient>;
    static constexpr const char* kText = "Once upon a time there was a small desk.";

    Client client(const std::string& job, int loraRank = 0)
    {
        const auto url = m_desk.job(job, loraRank);
        auto& service = m_services[job];
        service = std::make_unique<FiretitanServiceClient>(*m_desk.http, url);
        const auto made = await(
            service->createTrainingClient(m_desk.ready.baseModel, loraRank), kLocalPatienceMs);
        if (!made) {
            qWarning("%s", messageOf(made).c_str());
            return nullptr;
        }
        return *made;
    }
    static double lossOf(const Result<ForwardResult>& pass)
    {
        return pass ? pass->metrics.at("loss:sum") : std::nan("");
    }
    static double loss(const Client& training, const QByteArray& text = kText)
    {
        const auto pass = await(training->forward({ textDatum(text) }), kLocalPatienceMs);
        if (!pass)
            qWarning("%s", messageOf(pass).c_str());
        return lossOf(pass);
    }
    static AdamParams adam(double learningRate)
    {
        AdamParams params;
        params.learningRate = learningRate;
        return params;
    }
    static bool step(const Client& training, double learningRate = 1e-3,
        GradAccNormalization normalization = GradAccNormalization::NumLossTokens)
    {
        auto pass = training->forwardBackward({ textDatum(kText), textDatum("and then") });
        const auto applied =
            await(training->optimStep(adam(learningRate), normalization), kLocalPatienceMs);
        const auto computed = await(pass, kLocalPatienceMs);
        if (!applied || !computed)
            qWarning("%s; %s", messageOf(applied).c_str(), messageOf(computed).c_str());
        return applied && computed;
    }

private Q_SLOTS:
    void initTestCase()
    {
        if (!QFileInfo::exists(QStringLiteral(DESK_BIN_DIR "/trainerdesk-local")))
            QSKIP("trainerdesk-local was not built");
        QCOMPARE(m_desk.start(), QString());
    }
    void cleanupTestCase()
    {
        m_services.clear();
        m_desk.stop();
    }

    void speedOfEmptySteps()
    {
        const auto training = client("speed");
        QVERIFY(training);
        QElapsedTimer clock;
        clock.start();
        for (int i = 0; i < 50; ++i)
            REQUIRE(await(training->optimStep(adam(0)), kLocalPatienceMs));
        qInfo("50 sequential steps: %lld ms", static_cast<long long>(clock.elapsed()));
        clock.restart();
        QList<QFuture<Result<OptimResult>>> all;
        for (int i = 0; i < 50; ++i)
            all.append(training->optimStep(adam(0)));
        for (auto& one : all)
            REQUIRE(await(one, kLocalPatienceMs));
        qInfo("50 pipelined steps: %lld ms", static_cast<long long>(clock.elapsed()));
    }
};

QTEST_GUILESS_MAIN(TrainingAgainstLocalTest)
#include "tst_training_against_local.moc"
