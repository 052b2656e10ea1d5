// SPDX-License-Identifier: GPL-3.0-or-later
// Every call of the service and training client, against a scripted trainer
// (reference/service-and-training-client.md, reference/saving-and-loading.md).
#include "tests/services/fake_trainer.h"

#include <QTest>

#include <cmath>
#include <memory>
#include <stdexcept>

using namespace desk;
using namespace desk::test;
using namespace std::chrono_literals;
using namespace Qt::StringLiterals;

class TrainingClientTest final : public QObject
{
    Q_OBJECT

private:
    std::unique_ptr<FakeTrainer> m_trainer;

    /// loss = sum over all logprobs of factor * logprob
    static CustomLoss linearLoss(float factor)
    {
        return [factor](const std::vector<Datum>&,
                   const std::vector<std::vector<float>>& logprobs) -> Result<CustomLossValue> {
            CustomLossValue value;
            for (const auto& row : logprobs) {
                for (const float logprob : row)
                    value.loss += static_cast<double>(factor * logprob);
                value.gradients.emplace_back(row.size(), factor);
            }
            value.metrics["reward"] = 3.0;
            return value;
        };
    }
    static ForwardRequest readPass(const FakeTrainer::Submission& submission)
    {
        const auto request = decodeForward(
            { submission.body.constData(), static_cast<std::size_t>(submission.body.size()) });
        return request ? *request : ForwardRequest {};
    }

private Q_SLOTS:
    void init() { m_trainer = std::make_unique<FakeTrainer>(); }
    void cleanup() { m_trainer.reset(); }

    void s20_metadataAndRankTravel()
    {
        const auto full = await(m_trainer->service->createTrainingClient(
            "accounts/local/models/m", 0, { { "run", "a" } }));
        QVERIFY(full);
        QVERIFY(m_trainer->last().has(R"("user_metadata":{"run":"a"})"));
        QVERIFY(m_trainer->last().has(R"("rank":0)"));
        QVERIFY(!m_trainer->last().has("alpha"));
        LoraConfig lora;
        lora.rank = 8;
        lora.seed = 3;
        lora.trainsMlp = false;
        const auto adapter =
            await(m_trainer->service->createTrainingClient("accounts/local/models/m", lora));
        QVERIFY(adapter);
        QVERIFY((*adapter)->isLora());
        for (const char* field : { R"("rank":8)", R"("seed":3)", R"("alpha":32)",
                 R"("train_mlp":false)", R"("model_seq_id":1)" })
            QVERIFY2(m_trainer->last().has(field), field);
        const auto sent = m_trainer->submissions.size();
        const auto again =
            await(m_trainer->service->createTrainingClient("accounts/local/models/m", 8));
        QCOMPARE(codeOf(again), "usage"_ba);
        QCOMPARE(again.error().message,
            std::string("A training client for 'accounts/local/models/m' (lora_rank=8) already "
                        "exists on this service"));
        lora.rank = 4;
        lora.trainsAttention = lora.trainsUnembed = false;
        QCOMPARE(codeOf(await(m_trainer->service->createTrainingClient("b", lora))), "usage"_ba);
        QCOMPARE(codeOf(await(m_trainer->service->createTrainingClient("", 0))), "usage"_ba);
        QCOMPARE(m_trainer->submissions.size(), sent);
    }

    void referenceClientOnlyComputes()
    {
        const auto reference =
            await(m_trainer->service->createReferenceClient("accounts/local/models/m"));
        QVERIFY(reference);
        QVERIFY(m_trainer->last().has(R"("base_only":true)"));
        QVERIFY(!m_trainer->last().has("lora_config"));
        QVERIFY(await((*reference)->forward({ plainDatum(2) })));
        const auto sent = m_trainer->submissions.size();
        QCOMPARE(codeOf(await((*reference)->forwardBackward({ plainDatum(2) }))), "usage"_ba);
        QCOMPARE(codeOf(await((*reference)->optimStep({}))), "usage"_ba);
        QCOMPARE(codeOf(await((*reference)->saveState("s"))), "usage"_ba);
        QCOMPARE(m_trainer->submissions.size(), sent);
        QVERIFY(m_trainer->client()); // no part of the rule of one client a kind
    }

    void clientFromAStateReadsItsKindAndLoadsIt()
    {
        const auto made = await(m_trainer->service->createTrainingClientFromState("step-4", true));
        QVERIFY(made);
        QCOMPARE((*made)->model().loraRank, 8);
        QCOMPARE(m_trainer->rpcs(), (QByteArrayList { "create_model", "load_weights" }));
        QVERIFY(m_trainer->last().has(R"("optimizer":true)"));
        m_trainer->direct["weights_info"] = R"({"is_lora":true})";
        QCOMPARE(codeOf(await(m_trainer->service->weightsInfo("x"))), "malformed"_ba);
    }

    void s21_forwardGivesLogprobsPerToken()
    {
        const auto training = m_trainer->client();
        const auto pass = await(training->forward({ plainDatum(3), plainDatum(1) }));
        QVERIFY(pass);
        QCOMPARE(m_trainer->last().rpc, "forward"_ba);
        QCOMPARE(pass->outputs.size(), std::size_t { 2 });
        QCOMPARE(
            pass->outputs[0].at("logprobs").floats, (std::vector<float> { -0.5F, -1.0F, -1.5F }));
        QVERIFY(pass->metrics.count("response_tokens") == 0);
        const auto trained = await(training->forwardBackward({ plainDatum(3) }));
        QCOMPARE(trained->metrics.at("response_tokens"), 3.0);
    }

    void s21_builtInLossesNeedTargetTokens()
    {
        const auto training = m_trainer->client();
        const auto sent = m_trainer->submissions.size();
        Datum bare;
        bare.tokens = { 1, 2, 3 };
        bare.lossInputs["weights"] = floatTensor({ 0, 1, 1 });
        const auto refused = await(training->forward({ plainDatum(3), bare }));
        QCOMPARE(codeOf(refused), "usage"_ba);
        QCOMPARE(refused.error().message,
            std::string("The built-in loss cross_entropy needs target_tokens, and datum 1 has "
                        "none"));
        QVERIFY(refused.error().next.find("forwardBackwardCustom") != std::string::npos);
        const auto policy = await(training->forwardBackward({ plainDatum(3) }, "ppo"));
        QCOMPARE(policy.error().message,
            std::string("The loss ppo needs logprobs, and datum 0 has none"));
        QCOMPARE(codeOf(await(training->forward({}))), "usage"_ba);
        QCOMPARE(m_trainer->submissions.size(), sent);
        // An embedding mode takes other inputs.
        LossConfig embedding;
        embedding.texts["output"] = "embedding";
        m_trainer->results["forward"] =
            R"({"loss_fn_output_type":"x","loss_fn_outputs":[],"metrics":{}})";
        QVERIFY(await(training->forward({ bare }, "cross_entropy", embedding)));
        QVERIFY(m_trainer->last().has(R"("loss_fn_config":{"output":"embedding"})"));
    }

    void everyLossTravelsWithItsConfiguration_data()
    {
        QTest::addColumn<QString>("loss");
        QTest::addColumn<QByteArray>("wire");
        for (const char* loss : { "importance_sampling", "ppo", "cispo", "dro", "dapo", "gspo" })
            QTest::newRow(loss) << QString::fromLatin1(loss) << QByteArray(loss);
        QTest::newRow("grpo") << u"grpo"_s << "ppo"_ba;
    }
    void everyLossTravelsWithItsConfiguration()
    {
        QFETCH(QString, loss);
        QFETCH(QByteArray, wire);
        const auto training = m_trainer->client();
        auto datum = plainDatum(2);
        datum.lossInputs["logprobs"] = floatTensor({ -1, -2 });
        datum.lossInputs["advantages"] = floatTensor({ 1, -1 });
        LossConfig config;
        config.numbers = { { "clip_low_threshold", 0.8 }, { "clip_high_threshold", 1.2 } };
        config.texts = { { "weighting", "tis" } };
        QVERIFY(await(training->forwardBackward({ datum }, loss.toStdString(), config)));
        const auto request = readPass(m_trainer->last());
        QCOMPARE(QByteArray::fromStdString(request.lossFn), wire);
        QCOMPARE(request.lossConfig.at("clip_high_threshold"), 1.2);
        QCOMPARE(request.lossTextConfig.at("weighting"), std::string("tis"));
        QCOMPARE(request.data.front(), datum);
    }

    void s22_customLossTakesTwoPhases()
    {
        const auto training = m_trainer->client();
        auto weighted = plainDatum(2);
        weighted.lossInputs["weights"] = floatTensor({ 0, 1 });
        auto pass = training->forwardBackwardCustom({ plainDatum(3), weighted }, linearLoss(-0.5F));
        auto step = training->optimStep({}); // numbers are taken at once: it stays behind
        const auto result = await(pass);
        QVERIFY(result);
        QVERIFY(await(step));
        QCOMPARE(m_trainer->rpcs().mid(1).join(' '), "forward forward_backward optim_step"_ba);
        const auto first = readPass(m_trainer->submissions[1]);
        QCOMPARE(first.seqId, 1);
        QCOMPARE(first.lossFn, std::string("cross_entropy"));
        QCOMPARE(first.data[0].lossInputs.at("weights").floats, (std::vector<float> { 0, 0, 0 }));
        QCOMPARE(first.data[1].lossInputs.at("weights").floats, (std::vector<float> { 0, 1 }));
        const auto second = readPass(m_trainer->submissions[2]);
        QCOMPARE(second.seqId, 2);
        // weights = -d loss / d logprob, whatever was given before
        QCOMPARE(second.data[0].lossInputs.at("weights").floats,
            (std::vector<float> { 0.5F, 0.5F, 0.5F }));
        QCOMPARE(
            second.data[1].lossInputs.at("weights").floats, (std::vector<float> { 0.5F, 0.5F }));
        QVERIFY(m_trainer->submissions[3].has("\"seq_id\":3"));
        QCOMPARE(result->metrics.at("loss"), 0.5 * (0.5 + 1 + 1.5 + 0.5 + 1));
        QCOMPARE(result->metrics.at("reward"), 3.0);
        QCOMPARE(result->metrics.at("response_tokens"), 5.0);
        QCOMPARE(result->metrics.at("loss:sum"), 5.0); // the trainer's surrogate stays
    }

    void s22_customLossOfManyPartsKeepsItsOrder()
    {
        const auto training = m_trainer->client();
        auto pass = training->forwardBackwardCustom(
            std::vector<Datum>(2500, plainDatum(1)), linearLoss(1.0F));
        auto step = training->optimStep({});
        const auto result = await(pass);
        QVERIFY(result);
        QVERIFY(await(step));
        QCOMPARE(m_trainer->rpcs().count("forward"), 3);
        QCOMPARE(m_trainer->rpcs().count("forward_backward"), 3);
        QCOMPARE(m_trainer->last().rpc, "optim_step"_ba);
        QVERIFY(m_trainer->last().has("\"seq_id\":7"));
        QCOMPARE(result->outputs.size(), std::size_t { 2500 });
    }

    void s22_customLossThatFailsSendsNoGradient_data()
    {
        QTest::addColumn<int>("how");
        QTest::addColumn<QByteArray>("code");
        QTest::newRow("it says so") << 0 << "backend"_ba;
        QTest::newRow("it throws") << 1 << "usage"_ba;
        QTest::newRow("too few datums") << 2 << "usage"_ba;
        QTest::newRow("too few tokens") << 3 << "usage"_ba;
        QTest::newRow("not finite") << 4 << "usage"_ba;
    }
    void s22_customLossThatFailsSendsNoGradient()
    {
        QFETCH(int, how);
        QFETCH(QByteArray, code);
        const auto training = m_trainer->client();
        const CustomLoss loss =
            [how](const std::vector<Datum>&,
                const std::vector<std::vector<float>>&) -> Result<CustomLossValue> {
            if (how == 0)
                return Error { Error::Code::Backend, "no reward model" };
            if (how == 1)
                throw std::runtime_error("out of range");
            CustomLossValue value;
            if (how >= 3)
                value.gradients = { std::vector<float>(how == 3 ? 1 : 2, how == 3 ? 1 : NAN) };
            return value;
        };
        auto pass = training->forwardBackwardCustom({ plainDatum(2) }, loss);
        auto save = training->saveState("s"); // what is behind it goes on
        QCOMPARE(codeOf(await(pass)), code);
        QVERIFY(await(save));
        QCOMPARE(m_trainer->rpcs().mid(1).join(' '), "forward save_weights"_ba);
        QVERIFY(m_trainer->last().has("\"seq_id\":3")); // number 2 stays unused
    }

    void s22_customLossIsRefusedBeforeAnythingIsSent()
    {
        const auto training = m_trainer->client();
        const auto sent = m_trainer->submissions.size();
        auto other = plainDatum(2);
        other.lossInputs["advantages"] = floatTensor({ 1, 1 });
        Datum bare;
        bare.tokens = { 1 };
        for (const auto& data : { std::vector<Datum> {}, { other }, { bare } })
            QCOMPARE(
                codeOf(await(training->forwardBackwardCustom(data, linearLoss(1)))), "usage"_ba);
        QCOMPARE(codeOf(await(training->forwardBackwardCustom({ plainDatum(1) }, {}))), "usage"_ba);
        QCOMPARE(m_trainer->submissions.size(), sent);
    }

    void s22_customLossEndsWhereThePhasesFail()
    {
        const auto training = m_trainer->client();
        m_trainer->results["forward"] = R"({"error":"too long","category":"user"})";
        auto step = training->forwardBackwardCustom({ plainDatum(1) }, linearLoss(1));
        QCOMPARE(codeOf(await(step)), "refused"_ba);
        m_trainer->results["forward"] =
            R"({"loss_fn_output_type":"x","loss_fn_outputs":[{}],"metrics":{}})";
        QCOMPARE(codeOf(await(training->forwardBackwardCustom({ plainDatum(1) }, linearLoss(1)))),
            "malformed"_ba);
        m_trainer->results.remove("forward");
        m_trainer->results["forward_backward"] = R"({"error":"no memory","category":"server"})";
        QCOMPARE(codeOf(await(training->forwardBackwardCustom({ plainDatum(1) }, linearLoss(1)))),
            "backend"_ba);
        QVERIFY(await(training->optimStep({})));
    }

    void s23_everyNormalizationHasItsWord()
    {
        const auto training = m_trainer->client();
        AdamParams adam;
        adam.learningRate = 1e-5;
        adam.gradNormMetrics = "detailed";
        QVERIFY(await(training->optimStep(adam, GradAccNormalization::NumLossTokens)));
        QVERIFY(m_trainer->last().has(R"("grad_accumulation_normalization":"num_loss_tokens")"));
        QVERIFY(m_trainer->last().has(R"("emit_grad_norm_metrics":"detailed")"));
        QVERIFY(await(training->optimStep(adam, GradAccNormalization::NumSequences)));
        QVERIFY(m_trainer->last().has(R"("grad_accumulation_normalization":"num_sequences")"));
        QVERIFY(await(training->optimStep(adam)));
        QVERIFY(!m_trainer->last().has("num_")); // absent and "none" mean the same
    }

    void s1s2s5_samplerSavesNameTheirTypeAndSession()
    {
        const auto training = m_trainer->client();
        const auto base = await(training->saveWeightsForSamplerExt("step-0001", "base"));
        QVERIFY(base);
        QCOMPARE(base->snapshotName, "step-0001-" + training->nameSuffix());
        QCOMPARE(base->path, std::string("on-the-trainer"));
        QVERIFY(base->warnings.empty());
        QCOMPARE(training->lastSnapshot(), base->snapshotName);
        const auto delta = await(training->saveWeightsForSamplerExt("step-0010", "DELTA"));
        QVERIFY(delta);
        QVERIFY(m_trainer->last().has(R"("checkpoint_type":"delta")"));
        QCOMPARE(delta->warnings.size(), std::size_t { 1 }); // S4: and why
        QVERIFY(delta->warnings.front().find("cannot be promoted: a delta") != std::string::npos);
        const auto sent = m_trainer->submissions.size();
        QCOMPARE(codeOf(await(training->saveWeightsForSamplerExt("x", "merged_base"))), "usage"_ba);
        QCOMPARE(codeOf(await(training->saveWeightsForSamplerExt("x", "half"))), "usage"_ba);
        QCOMPARE(codeOf(await(training->saveWeightsForSamplerExt("a/b"))), "usage"_ba);
        QCOMPARE(codeOf(await(training->saveWeightsForSamplerExt("x", "base", 0))), "usage"_ba);
        QCOMPARE(m_trainer->submissions.size(), sent);
    }

    void s3_samplerSavesOfAnAdapterAreBaseByDefault()
    {
        const auto training = m_trainer->client(8);
        QVERIFY(await(training->saveWeightsForSamplerExt("a")));
        QVERIFY(await(training->saveWeightsForSamplerExt("b")));
        QVERIFY(m_trainer->last().has(R"("checkpoint_type":"base")"));
        const auto delta = await(training->saveWeightsForSamplerExt("c", "delta"));
        QVERIFY(delta);
        QVERIFY(delta->warnings.empty()); // the whole adapter, which may be promoted
        QVERIFY(await(training->saveWeightsForSamplerExt("d", "merged_base", {}, "bf16")));
        QVERIFY(m_trainer->last().has(R"("checkpoint_type":"merged_base")"));
        QVERIFY(m_trainer->last().has(R"("export_precision":"bf16")"));
        QCOMPARE(
            codeOf(await(training->saveWeightsForSamplerExt("e", "base", {}, "bf16"))), "usage"_ba);
    }

    void failedBaseIsTriedAgainAsBase()
    {
        const auto training = m_trainer->client();
        m_trainer->results["save_weights_for_sampler"] = R"({"error":"disk","category":"server"})";
        QVERIFY(!await(training->saveWeightsForSamplerExt("a")));
        QVERIFY(training->lastSnapshot().empty());
        m_trainer->results["save_weights_for_sampler"] =
            R"({"path":"p","type":"save_weights_for_sampler"})";
        QVERIFY(await(training->saveWeightsForSamplerExt("b")));
        QVERIFY(m_trainer->last().has(R"("checkpoint_type":"base")"));
        m_trainer->results["save_weights_for_sampler"] = R"({"path":null,"type":"x"})";
        QCOMPARE(codeOf(await(training->saveWeightsForSamplerExt("c"))), "malformed"_ba);
    }

    void s6_lifetimesTravel()
    {
        const auto training = m_trainer->client();
        QVERIFY(await(training->saveWeightsForSamplerExt("t", "base", 3600)));
        QVERIFY(m_trainer->last().has(R"("ttl_seconds":3600)"));
        QVERIFY(await(training->saveState("t", 60)));
        QVERIFY(m_trainer->last().has(R"("ttl_seconds":60)"));
        QVERIFY(await(training->saveState("t2")));
        QVERIFY(!m_trainer->last().has("ttl_seconds"));
        QCOMPARE(codeOf(await(training->saveState("t3", -1))), "usage"_ba);
    }

    void s16_statesAreSavedAndLoaded()
    {
        const auto training = m_trainer->client();
        const auto first = await(training->saveState("step-1"));
        QVERIFY(first);
        QCOMPARE(first->path, std::string("saved-here"));
        QVERIFY(first->warnings.empty());
        const auto again = await(training->saveState("step-1"));
        QCOMPARE(again->warnings,
            std::vector<std::string> { "The name step-1 was used before: that state is replaced" });
        const auto odd = await(training->saveState("train_state_1"));
        QCOMPARE(odd->warnings.size(), std::size_t { 1 }); // the SDK of today cannot load it
        QVERIFY(await(training->loadStateWithOptimizer(" step-1 ")));
        QVERIFY(m_trainer->last().has(R"("path":"step-1")"));
        QVERIFY(m_trainer->last().has(R"("optimizer":true)"));
        QVERIFY(await(training->loadState("step-1")));
        QVERIFY(m_trainer->last().has(R"("optimizer":false)"));
        QCOMPARE(codeOf(await(training->loadState("  "))), "usage"_ba);
        QCOMPARE(codeOf(await(training->saveState(".."))), "usage"_ba);
    }

    void s18_liveListIsAnErrorWhenItCannotBeRead()
    {
        const auto training = m_trainer->client();
        QCOMPARE(
            *await(training->listCheckpoints()), (std::vector<std::string> { "step-2", "step-4" }));
        m_trainer->direct["list_checkpoints"] = R"({"checkpoints":[]})";
        QVERIFY(await(training->listCheckpoints())->empty());
        m_trainer->direct["list_checkpoints"] = "{}";
        QCOMPARE(codeOf(await(training->listCheckpoints())), "malformed"_ba);
        m_trainer->before["list_checkpoints"] = { statusAnswer(404) };
        QCOMPARE(codeOf(await(training->listCheckpoints())), "not_found"_ba);
    }

    void adaptersAreLoadedIntoAdaptersOnly()
    {
        const auto training = m_trainer->client(8);
        QVERIFY(await(training->loadAdapter("gs:bucket")));
        QCOMPARE(m_trainer->last().rpc, "load_adapter"_ba);
        QVERIFY(m_trainer->last().has(R"("adapter_path":"gs:bucket")"));
        QCOMPARE(codeOf(await(training->loadAdapter(" "))), "usage"_ba);
        const auto full = m_trainer->client();
        QCOMPARE(codeOf(await(full->loadAdapter("x"))), "usage"_ba);
    }

    void unloadEndsTheClientAfterWhatWasCalled()
    {
        const auto training = m_trainer->client();
        auto step = training->optimStep({});
        auto ended = training->unload();
        auto late = training->optimStep({});
        QVERIFY(await(step));
        QVERIFY(await(ended));
        const auto refused = await(late);
        QCOMPARE(codeOf(refused), "usage"_ba);
        QCOMPARE(refused.error().message, std::string("Model unloading has already started"));
        QCOMPARE(m_trainer->rpcs().mid(1).join(' '), "optim_step unload_model"_ba);
        QVERIFY(!m_trainer->last().has("seq_id"));
        const auto facts = await(training->info());
        QVERIFY(facts);
        QCOMPARE(facts->loraRank, 8);
    }

    void samplesAreDrawnWithNumbersOfTheirOwn()
    {
        const auto sampler = await(m_trainer->service->createSamplingClient({}, "tinker:m"));
        QVERIFY(sampler);
        SampleRequest request;
        request.prompt = { 1, 2 };
        request.maxTokens = 2;
        request.temperature = 0.7;
        request.wantsPromptLogprobs = true;
        m_trainer->before["asample"] = { statusAnswer(429, "{}", "0"), droppedAnswer() };
        const auto drawn = await((*sampler)->sample(request));
        QVERIFY(drawn);
        QCOMPARE(drawn->sequences.size(), std::size_t { 1 });
        QCOMPARE(drawn->sequences[0].tokens, (std::vector<std::int32_t> { 7, 8 }));
        QVERIFY(!drawn->sequences[0].isStopped);
        QCOMPARE(m_trainer->rpcs().count("asample"), 1);
        QVERIFY(m_trainer->last().has(R"("seq_id":0)")); // the same number after 429
        const auto logprobs = await((*sampler)->computeLogprobs({ 1, 2 }));
        QVERIFY(logprobs);
        QVERIFY(!logprobs->at(0));
        QCOMPARE(*logprobs->at(1), -0.5F);
        QVERIFY(m_trainer->last().has(R"("max_tokens":1)"));
        // An expired future is asked for anew, with a new number.
        m_trainer->before["retrieve_future"] = { statusAnswer(410) };
        QVERIFY(await((*sampler)->sample(request)));
        QVERIFY(m_trainer->last().has(R"("seq_id":3)"));
        QCOMPARE(await((*sampler)->info())->baseModel, std::string("b"));
        request.prompt.clear();
        QCOMPARE(codeOf(await((*sampler)->sample(request))), "usage"_ba);
        QCOMPARE(codeOf(await(m_trainer->service->createSamplingClient({}, {}))), "usage"_ba);
    }

    void weightsCanBeDrawnFromWithoutAName()
    {
        const auto training = m_trainer->client();
        m_trainer->results["save_weights_for_sampler"] =
            R"({"path":null,"sampling_session_id":"sess-1:sample:0","type":"save_weights_for_sampler"})";
        const auto sampler = await(training->saveWeightsAndGetSamplingClient());
        QVERIFY(sampler);
        QCOMPARE((*sampler)->samplingSessionId(), std::string("sess-1:sample:0"));
        QVERIFY(m_trainer->last().has(R"("sampling_session_seq_id":0)"));
        QVERIFY(!m_trainer->last().has(R"("path")"));
        QVERIFY(!m_trainer->last().has("checkpoint_type"));
    }
};

QTEST_GUILESS_MAIN(TrainingClientTest)
#include "tst_training_client.moc"
