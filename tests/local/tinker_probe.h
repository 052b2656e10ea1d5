// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

// A client of one version: its headers, its bodies, its poll.

#include "services/codecs/tinker_proto.h"
#include "services/codecs/trainer_codec.h"
#include "tests/local/backend_probe.h"
#include "tests/support/check.h"

#include <cstdint>
#include <optional>
#include <string>
#include <utility>

namespace desk::check {

class TinkerProbe
{
public:
    /// `job` empty: the plain address.
    TinkerProbe(const BackendProbe& backend, std::string version, std::string job = {})
        : m_backend(backend)
        , m_version(std::move(version))
        , m_job(std::move(job))
    {
        const auto created =
            decodeSessionCreated(post("create_session", encodeCreateSession({})).body);
        CHECK(created.has_value());
        m_session = created->sessionId;
    }

    RawConnection::Reply call(const std::string& method, const std::string& name,
        const std::string& body, const std::string& headers = {}) const
    {
        const auto path =
            m_job.empty() ? "/api/v1/" + name : BackendProbe::trainerPath(m_job, name);
        const bool isTinker = m_version.substr(0, 2) == "0." && m_job.empty();
        return request(m_backend.port(), method, path, body,
            "X-Api-Key: " + (isTinker ? "tml-" + m_backend.key() : m_backend.key()) + "\r\n"
                + (m_version.empty() ? "" : "x-stainless-package-version: " + m_version + "\r\n")
                + headers);
    }
    RawConnection::Reply post(
        const std::string& name, const std::string& body, const std::string& headers = {}) const
    {
        return call("POST", name, body, headers);
    }
    RawConnection::Reply poll(const std::string& requestId, const std::string& accept) const
    {
        while (true) {
            auto reply =
                post("retrieve_future", encodeRetrieve(requestId), "Accept: " + accept + "\r\n");
            if (reply.body.find("try_again") == std::string::npos)
                return reply;
        }
    }
    /// The ended future that a submission answered with.
    FutureReply result(const RawConnection::Reply& submitted) const
    {
        const auto ref = decodeFutureRef(submitted.body);
        if (!ref)
            fail(__FILE__, __LINE__,
                "no future: " + std::to_string(submitted.status) + " " + submitted.body);
        auto reply = decodeFuture(poll(ref->requestId, "application/json").body);
        CHECK(reply.has_value());
        return *reply;
    }
    FutureReply create(std::optional<LoraConfig> lora, bool isBaseOnly = false)
    {
        CreateModel wanted;
        wanted.sessionId = m_session;
        wanted.modelSeqId = m_models++;
        wanted.baseModel = BackendProbe::baseModel();
        wanted.lora = std::move(lora);
        wanted.isBaseOnly = isBaseOnly;
        m_model = m_session + ":train:" + std::to_string(wanted.modelSeqId);
        m_sequence = 0;
        return result(post("create_model", encodeCreateModel(wanted)));
    }
    static LoraConfig rank(int rank)
    {
        LoraConfig lora;
        lora.rank = rank;
        lora.seed = 3;
        return lora;
    }
    FutureReply createFrom(const std::string& path, bool withOptimizer)
    {
        LoadWeights wanted;
        wanted.sessionId = m_session;
        wanted.modelSeqId = m_models++;
        wanted.path = path;
        wanted.withOptimizer = withOptimizer;
        m_model = m_session + ":train:" + std::to_string(wanted.modelSeqId);
        m_sequence = 0;
        return result(post("load_weights", encodeLoadWeights(wanted)));
    }
    ForwardRequest forward(bool isBackward, std::size_t offset = 0)
    {
        ForwardRequest wanted;
        wanted.isBackward = isBackward;
        wanted.modelId = m_model;
        wanted.seqId = ++m_sequence;
        wanted.data = { TrainingProbe::datum(offset, 16), TrainingProbe::datum(offset + 40, 12) };
        return wanted;
    }
    RawConnection::Reply submit(const ForwardRequest& wanted) const
    {
        return post(wanted.isBackward ? "forward_backward" : "forward", *encodeForward(wanted));
    }
    double loss(std::size_t offset = 0)
    {
        const auto read = decodeForwardResult(result(submit(forward(false, offset))).result);
        CHECK(read.has_value());
        return read->metrics.at("loss:sum");
    }
    FutureReply optimStep(double learningRate = 1e-2)
    {
        OptimStep wanted;
        wanted.modelId = m_model;
        wanted.seqId = ++m_sequence;
        wanted.adam.learningRate = learningRate;
        return result(post("optim_step", encodeOptimStep(wanted)));
    }
    void step()
    {
        CHECK(result(submit(forward(true))).state == FutureReply::State::Done);
        CHECK(optimStep().state == FutureReply::State::Done);
    }
    FutureReply saveState(const std::string& name, bool overwrites = false)
    {
        SaveWeights wanted;
        wanted.modelId = m_model;
        wanted.path = name;
        wanted.seqId = ++m_sequence;
        wanted.isOverwrite = overwrites;
        return result(post("save_weights", encodeSaveWeights(wanted)));
    }
    FutureReply saveSampler(const std::string& name, const std::string& type)
    {
        SaveForSampler wanted;
        wanted.modelId = m_model;
        wanted.path = name;
        wanted.seqId = ++m_sequence;
        wanted.checkpointType = type;
        if (name.empty())
            wanted.samplingSessionSeqId = 7;
        return result(post("save_weights_for_sampler", encodeSaveForSampler(wanted)));
    }
    FutureReply load(const std::string& path, bool withOptimizer)
    {
        LoadWeights wanted;
        wanted.modelId = m_model;
        wanted.path = path;
        wanted.withOptimizer = withOptimizer;
        wanted.seqId = ++m_sequence;
        return result(post("load_weights", encodeLoadWeights(wanted)));
    }
    static std::string pathOf(const FutureReply& reply)
    {
        const auto read = decodeWeightsResult(reply.result);
        if (!read || reply.state != FutureReply::State::Done)
            fail(__FILE__, __LINE__, "no save: " + reply.error + reply.result);
        return read->path;
    }
    const std::string& session() const { return m_session; }
    const std::string& model() const { return m_model; }
    std::int64_t next() { return ++m_sequence; }

private:
    BackendProbe m_backend;
    std::string m_version;
    std::string m_job;
    std::string m_session;
    std::string m_model;
    std::int64_t m_models = 0;
    std::int64_t m_sequence = 0;
};

} // namespace desk::check
