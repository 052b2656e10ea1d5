// SPDX-License-Identifier: GPL-3.0-or-later
// The calls of the training client against the real embedded backend: what they do to the numbers.
#include "tests/services/local_desk.h"

#include <QFileInfo>
#include <QTest>

#include <cmath>
#include <iterator>
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
    std::vector<Client> m_clients;
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
        m_clients.push_back(*made);
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
    void cleanup()
    {
        for (const auto& one : std::exchange(m_clients, {}))
            (void)await(one->unload(), kLocalPatienceMs); // the backend holds 16 models
    }
    void cleanupTestCase()
    {
        m_services.clear();
        m_desk.stop();
    }

    void s19s20_connectsByUrlAndRefusesASecondClient()
    {
        const auto training = client("rows");
        QVERIFY(training);
        auto& service = *m_services["rows"];
        QCOMPARE(codeOf(await(service.createTrainingClient(m_desk.ready.baseModel))), "usage"_ba);
        QVERIFY(!service.sessionId().empty());
        // A second process has the URL only.
        FiretitanServiceClient other(*m_desk.http, service.baseUrl());
        const auto capabilities = await(other.serverCapabilities());
        REQUIRE(capabilities);
        QVERIFY(!capabilities->empty());
        const auto facts = await(training->info());
        REQUIRE(facts);
        QVERIFY(!facts->isLora);
        QCOMPARE(facts->modelId, training->modelId());
    }

    void s21_logprobsOfForwardAreThoseOfTheLoss()
    {
        const auto training = client("forward");
        QVERIFY(training);
        const auto pass =
            await(training->forward({ textDatum(kText), textDatum("ab") }), kLocalPatienceMs);
        REQUIRE(pass);
        double sum = 0;
        for (const auto& output : pass->outputs) {
            for (const float logprob : output.at("logprobs").floats)
                sum -= static_cast<double>(logprob);
        }
        QVERIFY(std::abs(sum - pass->metrics.at("loss:sum")) < 1e-3 * sum);
        const double before = loss(training);
        QCOMPARE(loss(training), before); // no gradient, no step
        REQUIRE(await(training->optimStep(adam(0.1)), kLocalPatienceMs)); // nothing accumulated
        QVERIFY(std::abs(loss(training) - before) < 1e-3);
    }

    void manyDatumsTravelInParts()
    {
        const auto training = client("parts");
        const std::vector<Datum> many(2100, textDatum("abc"));
        const auto all = await(training->forwardBackward(many), kLocalPatienceMs);
        REQUIRE(all);
        QCOMPARE(all->outputs.size(), std::size_t { 2100 });
        const auto one = await(training->forward({ many.front() }), kLocalPatienceMs);
        REQUIRE(one);
        const double expected = 2100 * one->metrics.at("loss:sum");
        QVERIFY(std::abs(all->metrics.at("loss:sum") - expected) < 1e-3 * expected);
        REQUIRE(await(training->optimStep(adam(1e-3)), kLocalPatienceMs));
    }

    void s22_customLossGivesTheGradientsOfItsBuiltInTwin_data()
    {
        QTest::addColumn<int>("rank");
        QTest::newRow("full parameters") << 0;
        QTest::newRow("LoRA") << 8;
    }
    void s22_customLossGivesTheGradientsOfItsBuiltInTwin()
    {
        QFETCH(int, rank);
        const auto suffix = std::to_string(rank);
        const auto builtIn = client("twin-a" + suffix, rank);
        const auto custom = client("twin-b" + suffix, rank);
        QVERIFY(builtIn && custom);
        const CustomLoss loss =
            [](const std::vector<Datum>&,
                const std::vector<std::vector<float>>& logprobs) -> Result<CustomLossValue> {
            CustomLossValue value;
            for (const auto& row : logprobs) {
                for (const float logprob : row)
                    value.loss -= static_cast<double>(logprob);
                value.gradients.emplace_back(row.size(), -1.0F);
            }
            value.metrics["mine"] = 7;
            return value;
        };
        for (int i = 0; i < 3; ++i) {
            const auto expected =
                await(builtIn->forwardBackward({ textDatum(kText) }), kLocalPatienceMs);
            const auto found =
                await(custom->forwardBackwardCustom({ textDatum(kText) }, loss), kLocalPatienceMs);
            REQUIRE(expected);
            REQUIRE(found);
            const double sum = expected->metrics.at("loss:sum");
            QVERIFY2(std::abs(found->metrics.at("loss") - sum) < 1e-4 * sum,
                qPrintable(u"step %1: %2, %3"_s.arg(i).arg(found->metrics.at("loss")).arg(sum)));
            QCOMPARE(found->metrics.at("mine"), 7.0);
            REQUIRE(await(builtIn->optimStep(adam(1e-3)), kLocalPatienceMs));
            REQUIRE(await(custom->optimStep(adam(1e-3)), kLocalPatienceMs));
        }
    }

    void s23_normalizationsDivideTheGradient()
    {
        const auto training = client("norms");
        AdamParams params = adam(0);
        params.gradNormMetrics = "basic";
        std::map<GradAccNormalization, double> norms;
        for (const auto way : { GradAccNormalization::None, GradAccNormalization::NumLossTokens,
                 GradAccNormalization::NumSequences }) {
            REQUIRE(await(training->forwardBackward({ textDatum("abcdefgh") }), kLocalPatienceMs));
            REQUIRE(await(training->forwardBackward({ textDatum("abc") }), kLocalPatienceMs));
            const auto applied = await(training->optimStep(params, way), kLocalPatienceMs);
            REQUIRE(applied);
            norms[way] = applied->metrics.at("grad_norm");
        }
        const double raw = norms.at(GradAccNormalization::None);
        QVERIFY(raw > 0);
        // 7 + 2 target tokens in 2 sequences
        QVERIFY(std::abs(raw / norms.at(GradAccNormalization::NumLossTokens) - 9) < 0.01);
        QVERIFY(std::abs(raw / norms.at(GradAccNormalization::NumSequences) - 2) < 0.01);
    }

    void accumulatedPartsEqualOneBatch()
    {
        const auto parts = client("accumulated");
        const auto whole = client("whole");
        REQUIRE(await(parts->forwardBackward({ textDatum(kText) }), kLocalPatienceMs));
        REQUIRE(await(parts->forwardBackward({ textDatum("and then") }), kLocalPatienceMs));
        REQUIRE(await(
            whole->forwardBackward({ textDatum(kText), textDatum("and then") }), kLocalPatienceMs));
        for (const auto& one : { parts, whole })
            REQUIRE(await(one->optimStep(adam(1e-3)), kLocalPatienceMs));
        QVERIFY(std::abs(loss(parts) - loss(whole)) < 1e-3);
    }

    void policyLossesRunAndNameWhatTheyDoNotKnow()
    {
        const auto training = client("policy");
        const auto first = await(training->forward({ textDatum(kText) }), kLocalPatienceMs);
        REQUIRE(first);
        auto datum = textDatum(kText);
        const auto& logprobs = first->outputs[0].at("logprobs").floats;
        datum.lossInputs.erase("weights");
        datum.lossInputs["logprobs"] = floatTensor(logprobs);
        datum.lossInputs["advantages"] = floatTensor(std::vector<float>(logprobs.size(), 1.0F));
        const auto count = static_cast<double>(logprobs.size());
        for (const char* name : { "importance_sampling", "ppo", "grpo", "dapo" }) {
            // The ratio is 1 everywhere and so is the advantage: minus the number of tokens.
            const auto pass = await(training->forward({ datum }, name), kLocalPatienceMs);
            REQUIRE(pass);
            QVERIFY2(std::abs(pass->metrics.at("loss:sum") + count) < 1e-3 * count, name);
        }
        LossConfig config;
        config.numbers = { { "clip_low_threshold", 0.0 }, { "clip_high_threshold", 4.0 } };
        REQUIRE(await(training->forwardBackward({ datum }, "cispo", config), kLocalPatienceMs));
        config.numbers = { { "beta", 0.05 } };
        REQUIRE(await(training->forwardBackward({ datum }, "dro", config), kLocalPatienceMs));
        REQUIRE(await(training->forwardBackward({ datum }, "gspo"), kLocalPatienceMs));
        REQUIRE(await(training->optimStep(adam(1e-3)), kLocalPatienceMs));
        const auto unknown = await(training->forward({ datum }, "no_such_loss"));
        QCOMPARE(codeOf(unknown), "refused"_ba);
        QVERIFY2(unknown.error().message.find("cross_entropy") != std::string::npos,
            unknown.error().message.c_str());
        LossConfig wrong;
        wrong.numbers = { { "no_such_key", 1 } };
        QCOMPARE(codeOf(await(training->forward({ datum }, "ppo", wrong))), "refused"_ba);
    }

    void s16_statesReproduceTheNextLoss_data()
    {
        QTest::addColumn<int>("rank");
        QTest::newRow("full parameters") << 0;
        QTest::newRow("LoRA") << 8;
    }
    void s16_statesReproduceTheNextLoss()
    {
        QFETCH(int, rank);
        const auto id = "states-" + std::to_string(rank);
        const auto training = client(id, rank);
        QVERIFY(training);
        QVERIFY(step(training));
        QVERIFY(step(training));
        const auto saved = await(training->saveState("state-1"), kLocalPatienceMs);
        REQUIRE(saved);
        const double then = loss(training);
        QVERIFY(step(training));
        const double next = loss(training);
        QVERIFY(next < then);
        REQUIRE(await(training->loadStateWithOptimizer(saved->path), kLocalPatienceMs));
        QCOMPARE(loss(training), then); // the very same weights
        QVERIFY(step(training));
        QCOMPARE(loss(training), next); // and moments
        REQUIRE(await(training->loadState("state-1"), kLocalPatienceMs));
        QCOMPARE(loss(training), then);
        QVERIFY(step(training));
        QVERIFY(loss(training) != next); // the optimizer started fresh
        const auto names = await(training->listCheckpoints());
        REQUIRE(names);
        QCOMPARE(*names, std::vector<std::string> { "state-1" }); // S18
        const auto row = m_desk.row(id, "state-1");
        QVERIFY(row.type == (rank > 0 ? CheckpointType::TrainingLora : CheckpointType::Training));
        QVERIFY(!row.isPromotable);
        QCOMPARE(
            codeOf(await(training->loadState("no-such-state"), kLocalPatienceMs)), "refused"_ba);
    }

    void s17_stateOfAnotherJobIsLoaded()
    {
        const auto source = client("source");
        QVERIFY(step(source));
        REQUIRE(await(source->saveState("step-4"), kLocalPatienceMs));
        const double there = loss(source);
        const auto target = client("target");
        QVERIFY(loss(target) != there);
        const auto path = FiretitanTrainingClient::resolveCheckpointPath("step-4", "source");
        REQUIRE(path);
        REQUIRE(await(target->loadStateWithOptimizer(*path), kLocalPatienceMs));
        QCOMPARE(loss(target), there);
        QCOMPARE(codeOf(await(target->loadState("cross_job://nobody/x"), kLocalPatienceMs)),
            "refused"_ba);
    }

    void s1s2s4s5_baseAndDeltaOfFullParameters()
    {
        const auto training = client("sampler");
        const auto early =
            await(training->saveWeightsForSamplerExt("early", "delta"), kLocalPatienceMs);
        QCOMPARE(codeOf(early), "refused"_ba); // nothing to stand on
        const auto base = await(training->saveWeightsForSamplerExt("step-0001"), kLocalPatienceMs);
        REQUIRE(base);
        QCOMPARE(base->snapshotName, "step-0001-" + training->nameSuffix());
        auto row = m_desk.row("sampler", base->snapshotName);
        QVERIFY(row.type == CheckpointType::InferenceBase && row.isPromotable);
        QVERIFY(QFileInfo::exists(QString::fromStdString(row.path) + u"/model.safetensors"_s));
        QVERIFY(step(training));
        const auto delta = await(training->saveWeightsForSamplerExt("step-0002"), kLocalPatienceMs);
        REQUIRE(delta);
        QVERIFY(!delta->warnings.empty());
        row = m_desk.row("sampler", delta->snapshotName);
        QVERIFY(row.type == CheckpointType::InferenceArcV2 && !row.isPromotable);
        QCOMPARE(row.parent, base->snapshotName);
    }

    void s3_adapterSavesAreWholeWhateverTheType()
    {
        const auto training = client("adapter", 8);
        QVERIFY(training);
        const auto early =
            await(training->saveWeightsForSamplerExt("early", "merged_base"), kLocalPatienceMs);
        QCOMPARE(codeOf(early), "refused"_ba); // an untrained adapter folds into nothing new
        const double before = loss(training);
        for (int i = 0; i < 3; ++i)
            QVERIFY(step(training, 1e-2));
        QVERIFY(loss(training) < before);
        for (const char* type : { "base", "delta" }) {
            const auto saved =
                await(training->saveWeightsForSamplerExt(std::string("a-") + type, type),
                    kLocalPatienceMs);
            REQUIRE(saved);
            QVERIFY(saved->warnings.empty());
            const auto row = m_desk.row("adapter", saved->snapshotName);
            QVERIFY(row.type == CheckpointType::InferenceLora && row.isPromotable);
            QVERIFY(row.parent.empty());
            const auto folder = QString::fromStdString(row.path);
            QVERIFY2(
                QFileInfo::exists(folder + u"/adapter_model.safetensors"_s), qPrintable(folder));
            QVERIFY(QFileInfo::exists(folder + u"/adapter_config.json"_s));
        }
        const auto merged =
            await(training->saveWeightsForSamplerExt("merged", "merged_base"), kLocalPatienceMs);
        REQUIRE(merged);
        const auto row = m_desk.row("adapter", merged->snapshotName);
        QVERIFY(row.type == CheckpointType::InferenceBase && row.isPromotable);
        QVERIFY(QFileInfo::exists(QString::fromStdString(row.path) + u"/model.safetensors"_s));
    }

    void adapterIsLoadedIntoANewJob()
    {
        const auto first = client("giver", 8);
        QVERIFY(step(first, 1e-2));
        const auto saved = await(first->saveWeightsForSamplerExt("a"), kLocalPatienceMs);
        REQUIRE(saved);
        const auto second = client("taker", 8);
        QVERIFY(loss(second) != loss(first));
        const auto path =
            FiretitanTrainingClient::resolveCheckpointPath(saved->snapshotName, "giver");
        REQUIRE(path);
        REQUIRE(await(second->loadAdapter(*path), kLocalPatienceMs));
        QVERIFY(std::abs(loss(second) - loss(first)) < 1e-3);
        QVERIFY(!await(second->loadAdapter("no-such-adapter"), kLocalPatienceMs));
    }

    void clientFromAStateHasItsKindAndWeights()
    {
        const auto training = client("origin", 8);
        QVERIFY(step(training, 1e-2));
        REQUIRE(await(training->saveState("s"), kLocalPatienceMs));
        FiretitanServiceClient other(*m_desk.http, m_services["origin"]->baseUrl());
        const auto facts = await(other.weightsInfo("s"));
        REQUIRE(facts);
        QVERIFY(facts->isLora);
        QCOMPARE(facts->loraRank, 8);
        const auto made = await(other.createTrainingClientFromState("s", true), kLocalPatienceMs);
        REQUIRE(made);
        QCOMPARE(loss(*made), loss(training));
    }

    void s6_lifetimesEnd()
    {
        const auto training = client("brief");
        REQUIRE(await(training->saveState("gone", 1), kLocalPatienceMs));
        const auto saved =
            await(training->saveWeightsForSamplerExt("gone", "base", 1), kLocalPatienceMs);
        REQUIRE(saved);
        const auto row = m_desk.row("brief", saved->snapshotName);
        QVERIFY(row.name.empty() || row.expires.has_value());
        const auto folder = QString::fromStdString(row.path);
        const auto isGone = [this] {
            const auto rows = await(m_desk.control->listCheckpoints("brief"));
            return rows && rows->empty();
        };
        QTRY_VERIFY_WITH_TIMEOUT(isGone(), 20000);
        if (!folder.isEmpty())
            QTRY_VERIFY_WITH_TIMEOUT(!QFileInfo::exists(folder), 10000);
        QCOMPARE(await(training->listCheckpoints())->size(), std::size_t { 0 });
    }

    void referenceStaysWhereTheTrainedModelBegan()
    {
        const auto training = client("policy-and-reference");
        const auto reference =
            await(m_services["policy-and-reference"]->createReferenceClient(m_desk.ready.baseModel),
                kLocalPatienceMs);
        REQUIRE(reference);
        const double before = loss(*reference);
        QCOMPARE(loss(training), before);
        QVERIFY(step(training, 1e-2));
        QVERIFY(loss(training) != before);
        QCOMPARE(loss(*reference), before);
    }

    void samplesComeFromTheWeightsAndAgreeWithForward()
    {
        const auto training = client("samples");
        QVERIFY(step(training, 1e-2));
        const auto sampler = await(training->saveWeightsAndGetSamplingClient(), kLocalPatienceMs);
        REQUIRE(sampler);
        SampleRequest request;
        for (const char letter : std::string("Once upon"))
            request.prompt.push_back(static_cast<unsigned char>(letter));
        request.maxTokens = 12;
        request.numSamples = 2;
        request.seed = 5;
        request.temperature = 1.0;
        const auto drawn = await((*sampler)->sample(request), kLocalPatienceMs);
        REQUIRE(drawn);
        QCOMPARE(drawn->sequences.size(), std::size_t { 2 });
        const auto again = await((*sampler)->sample(request), kLocalPatienceMs);
        REQUIRE(again);
        QCOMPARE(again->sequences[0].tokens, drawn->sequences[0].tokens); // the seed decides
        // The same tokens through forward: the same log-probabilities.
        const auto& sequence = drawn->sequences[0];
        Datum datum;
        datum.tokens = request.prompt;
        datum.tokens.insert(datum.tokens.end(), sequence.tokens.begin(), sequence.tokens.end());
        std::vector<std::int64_t> targets(datum.tokens.begin() + 1, datum.tokens.end());
        datum.tokens.pop_back();
        datum.lossInputs["target_tokens"] = intTensor(std::move(targets));
        const auto pass = await(training->forward({ datum }), kLocalPatienceMs);
        REQUIRE(pass);
        const auto& all = pass->outputs[0].at("logprobs").floats;
        const auto from = request.prompt.size() - 1;
        for (std::size_t i = 0; i < sequence.tokens.size(); ++i)
            QVERIFY(std::abs(all.at(from + i) - sequence.logprobs.at(i)) < 1e-3F);
        const auto prompt = await((*sampler)->computeLogprobs(request.prompt), kLocalPatienceMs);
        REQUIRE(prompt);
        QVERIFY(!prompt->front());
        for (std::size_t i = 1; i < prompt->size(); ++i)
            QVERIFY(std::abs(**std::next(prompt->begin(), static_cast<std::ptrdiff_t>(i))
                        - all.at(i - 1))
                < 1e-3F);
    }

    void samplingClientsOfBaseModelsAndPaths()
    {
        const auto training = client("paths");
        QVERIFY(step(training, 1e-2));
        const auto saved = await(training->saveWeightsForSamplerExt("w"), kLocalPatienceMs);
        REQUIRE(saved);
        auto& service = *m_services["paths"];
        const auto base =
            await(service.createSamplingClient(m_desk.ready.baseModel), kLocalPatienceMs);
        REQUIRE(base);
        const auto named =
            await(service.createSamplingClient({}, saved->snapshotName), kLocalPatienceMs);
        REQUIRE(named);
        const std::vector<std::int64_t> prompt { 79, 110, 99, 101 };
        const auto one = await((*base)->computeLogprobs(prompt), kLocalPatienceMs);
        const auto other = await((*named)->computeLogprobs(prompt), kLocalPatienceMs);
        REQUIRE(one);
        REQUIRE(other);
        QVERIFY(*one != *other);
        REQUIRE(await((*named)->info()));
        QVERIFY(!await(service.createSamplingClient({}, "tinker://nobody/sampler_weights/x")));
    }

    void unloadedModelIsGone()
    {
        const auto training = client("unloaded");
        auto pass = training->forward({ textDatum(kText) });
        REQUIRE(await(training->unload(), kLocalPatienceMs));
        REQUIRE(await(pass, kLocalPatienceMs)); // what was called before is done
        QCOMPARE(codeOf(await(training->optimStep({}))), "usage"_ba);
    }

    void badDataFailsInItsFutureAndTheClientGoesOn()
    {
        const auto training = client("bad-data");
        auto datum = textDatum(kText);
        datum.lossInputs["target_tokens"].ints[0] = 1'000'000;
        const auto refused = await(training->forwardBackward({ datum }), kLocalPatienceMs);
        QCOMPARE(codeOf(refused), "refused"_ba);
        QVERIFY2(refused.error().message.find("Datum 0") != std::string::npos,
            refused.error().message.c_str());
        QVERIFY(step(training));
    }
};

QTEST_GUILESS_MAIN(TrainingAgainstLocalTest)
#include "tst_training_against_local.moc"
