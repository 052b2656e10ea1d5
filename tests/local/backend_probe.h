// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

// Speaks the wire to a backend: what a test says in one line.

#include "services/codecs/completions_codec.h"
#include "services/codecs/gateway_codec.h"
#include "services/codecs/hotload_codec.h"
#include "services/codecs/trainer_codec.h"
#include "services/core/starter.h"
#include "tests/local/http_probe.h"
#include "tests/support/check.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

namespace desk::check {

/// The backend closed the connection without an answer: expected where a test kills it.
struct ConnectionLost : Failure
{
};

class BackendProbe
{
public:
    BackendProbe() = default;
    BackendProbe(const std::string& url, std::string key)
        : m_port(static_cast<std::uint16_t>(std::stoi(url.substr(url.rfind(':') + 1))))
        , m_key(std::move(key))
    {
    }

    RawConnection::Reply call(std::string_view method, std::string_view target,
        std::string_view body = {}, const std::string& headers = {}) const
    {
        return request(m_port, method, target, body, "X-Api-Key: " + m_key + "\r\n" + headers);
    }
    std::uint16_t port() const { return m_port; }
    const std::string& key() const { return m_key; }

    static std::string accountPath(const std::string& rest) { return "/v1/accounts/local" + rest; }
    static std::string trainerPath(const std::string& job, const std::string& rest)
    {
        return "/training/v1/rlorTrainerJobs/local/" + job + "/api/v1/" + rest;
    }
    static std::string baseModel() { return "accounts/local/models/desk-tiny"; }

    RawConnection::Reply createJob(const std::string& id, const std::string& deployment = {}) const
    {
        CreateJob wanted;
        wanted.jobId = id;
        wanted.baseModel = baseModel();
        wanted.hotLoadDeploymentId = deployment;
        return call("POST", accountPath("/rlorTrainerJobs?rlorTrainerJobId=" + id),
            encodeCreateJob(wanted));
    }
    std::vector<Checkpoint> checkpoints(const std::string& job) const
    {
        auto page = decodeCheckpoints(
            call("GET", accountPath("/rlorTrainerJobs/" + job + "/checkpoints?pageSize=200")).body);
        CHECK(page.has_value());
        return page->items;
    }
    RawConnection::Reply createDeployment(
        const std::string& id, int replicas, const std::string& job = {}) const
    {
        CreateDeployment wanted;
        wanted.deploymentId = id;
        wanted.baseModel = baseModel();
        wanted.minReplicaCount = replicas;
        wanted.maxReplicaCount = replicas;
        if (!job.empty())
            wanted.hotLoadTrainerJob = "accounts/local/rlorTrainerJobs/" + job;
        return call(
            "POST", accountPath("/deployments?deploymentId=" + id), encodeCreateDeployment(wanted));
    }
    static std::string hotloadHeaders(const std::string& deployment)
    {
        return "fireworks-model: " + baseModel()
            + "\r\nfireworks-deployment: accounts/local/deployments/" + deployment + "\r\n";
    }
    RawConnection::Reply hotload(const std::string& deployment, const std::string& identity,
        const std::string& parent = {}) const
    {
        HotloadRequest wanted;
        wanted.identity = identity;
        if (!parent.empty())
            wanted.incremental = IncrementalSnapshot { parent };
        return call("POST", kHotloadPath, encodeHotload(wanted), hotloadHeaders(deployment));
    }
    std::vector<Replica> replicas(const std::string& deployment) const
    {
        const auto reply = call("GET", kHotloadPath, {}, hotloadHeaders(deployment));
        auto read = decodeHotloadStatus(reply.body);
        if (!read)
            fail(__FILE__, __LINE__,
                "hot-load status " + std::to_string(reply.status) + ": " + reply.body);
        return *read;
    }
    /// Until every replica is at rest.
    std::vector<Replica> settled(const std::string& deployment) const
    {
        for (int i = 0; i < 2000; ++i) {
            auto present = replicas(deployment);
            bool isBusy = false;
            for (const auto& replica : present)
                isBusy = isBusy || !replica.isReady;
            if (!isBusy)
                return present;
            std::this_thread::sleep_for(std::chrono::milliseconds(5));
        }
        fail(__FILE__, __LINE__, "the replicas did not settle");
    }
    RawConnection::Reply promote(
        const std::string& job, const std::string& checkpoint, const std::string& model) const
    {
        Promote wanted;
        wanted.outputModel = "accounts/local/models/" + model;
        wanted.trainerJob = "accounts/local/rlorTrainerJobs/" + job;
        wanted.baseModel = baseModel();
        return call(
            "POST", accountPath("/checkpoints/" + checkpoint + ":promote"), encodePromote(wanted));
    }
    LongOperation finished(const std::string& operation) const
    {
        for (int i = 0; i < 2000; ++i) {
            auto read = decodeOperation(call("GET", "/v1/" + operation).body);
            CHECK(read.has_value());
            if (read->isDone)
                return *read;
            std::this_thread::sleep_for(std::chrono::milliseconds(5));
        }
        fail(__FILE__, __LINE__, "the operation did not end");
    }
    desk::Completion complete(const std::string& model, const std::string& prompt = "Hello") const
    {
        CompletionRequest wanted;
        wanted.model = model;
        wanted.prompt = prompt;
        wanted.maxTokens = 24;
        wanted.temperature = 0;
        auto made =
            decodeCompletion(call("POST", kCompletionsPath, encodeCompletionRequest(wanted)).body);
        CHECK(made.has_value());
        return *made;
    }

private:
    std::uint16_t m_port = 0;
    std::string m_key;
};

/// One live model of a job.
class TrainingProbe
{
public:
    /// `rank` 0: full parameters.
    TrainingProbe(const BackendProbe& backend, std::string job, int rank = 0)
        : m_backend(backend)
        , m_job(std::move(job))
    {
        const auto session =
            decodeSessionCreated(post("create_session", encodeCreateSession({})).body);
        CHECK(session.has_value());
        CreateModel wanted;
        wanted.sessionId = session->sessionId;
        wanted.baseModel = BackendProbe::baseModel();
        wanted.lora = LoraConfig {};
        wanted.lora->rank = rank;
        const auto reply = result(post("create_model", encodeCreateModel(wanted)).body);
        const auto created = decodeModelResult(reply.result);
        CHECK(created.has_value());
        m_model = *created;
    }

    RawConnection::Reply post(const std::string& name, const std::string& body) const
    {
        auto reply = m_backend.call("POST", BackendProbe::trainerPath(m_job, name), body);
        if (reply.status == 0)
            throw ConnectionLost {};
        return reply;
    }
    /// The future that a submission answered with, when it has ended.
    FutureReply result(const std::string& submitted) const
    {
        const auto ref = decodeFutureRef(submitted);
        if (!ref)
            fail(__FILE__, __LINE__, "no future: " + submitted);
        while (true) {
            auto reply = decodeFuture(post("retrieve_future", encodeRetrieve(ref->requestId)).body);
            CHECK(reply.has_value());
            if (reply->state != FutureReply::State::Pending)
                return *reply;
        }
    }
    const std::string& model() const { return m_model; }
    std::int64_t nextSequence() { return ++m_sequence; }

    static desk::Datum datum(std::size_t offset, std::size_t tokens)
    {
        const auto text = starterSampleText();
        offset %= text.size() - tokens - 1;
        desk::Datum made;
        std::vector<std::int64_t> targets;
        for (std::size_t i = 0; i < tokens; ++i) {
            made.tokens.push_back(static_cast<unsigned char>(text[offset + i]));
            targets.push_back(static_cast<unsigned char>(text[offset + i + 1]));
        }
        made.lossInputs["target_tokens"] = intTensor(targets);
        made.lossInputs["weights"] = floatTensor(std::vector<float>(tokens, 1.0F));
        return made;
    }
    ForwardRequest forward(bool isBackward, std::size_t offset, std::size_t tokens = 32)
    {
        ForwardRequest wanted;
        wanted.isBackward = isBackward;
        wanted.modelId = m_model;
        wanted.seqId = nextSequence();
        wanted.data = { datum(offset, tokens) };
        return wanted;
    }
    FutureReply submitForward(const ForwardRequest& wanted)
    {
        const auto body = encodeForward(wanted);
        CHECK(body.has_value());
        return result(post(wanted.isBackward ? "forward_backward" : "forward", *body).body);
    }
    double loss(std::size_t offset)
    {
        const auto read = decodeForwardResult(submitForward(forward(false, offset)).result);
        CHECK(read.has_value());
        return read->metrics.at("loss:sum");
    }
    void step(double learningRate = 1e-3, std::size_t offset = 0)
    {
        CHECK(submitForward(forward(true, offset)).state == FutureReply::State::Done);
        OptimStep wanted;
        wanted.modelId = m_model;
        wanted.seqId = nextSequence();
        wanted.adam.learningRate = learningRate;
        CHECK(result(post("optim_step", encodeOptimStep(wanted)).body).state
            == FutureReply::State::Done);
    }
    FutureReply saveSampler(const std::string& name, const std::string& type)
    {
        SaveForSampler wanted;
        wanted.modelId = m_model;
        wanted.path = name;
        wanted.seqId = nextSequence();
        wanted.checkpointType = type;
        return result(post("save_weights_for_sampler", encodeSaveForSampler(wanted)).body);
    }
    FutureReply saveState(const std::string& name)
    {
        SaveWeights wanted;
        wanted.modelId = m_model;
        wanted.path = name;
        wanted.seqId = nextSequence();
        return result(post("save_weights", encodeSaveWeights(wanted)).body);
    }
    FutureReply load(const std::string& path, bool withOptimizer)
    {
        LoadWeights wanted;
        wanted.modelId = m_model;
        wanted.path = path;
        wanted.withOptimizer = withOptimizer;
        wanted.seqId = nextSequence();
        return result(post("load_weights", encodeLoadWeights(wanted)).body);
    }

private:
    BackendProbe m_backend;
    std::string m_job;
    std::string m_model;
    std::int64_t m_sequence = 0;
};

} // namespace desk::check
