// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "services/codecs/hotload_codec.h"
#include "services/codecs/trainer_codec.h"
#include "services/gateway/fireworks_client.h"
#include "services/http/http_client.h"
#include "services/trainer/firetitan_client.h"
#include "tests/support/await_future.h"
#include "tests/support/scripted_server.h"

#include <QHash>
#include <QList>

#include <chrono>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace desk::test {

inline Answer okAnswer(QByteArray body)
{
    Answer answer;
    answer.body = std::move(body);
    return answer;
}

inline Answer statusAnswer(
    int status, QByteArray body = R"({"detail":"scripted"})", QByteArray retryAfter = {})
{
    Answer answer;
    answer.status = status;
    answer.body = std::move(body);
    if (!retryAfter.isEmpty())
        answer.headers.append({ "Retry-After", retryAfter });
    return answer;
}

inline Answer droppedAnswer()
{
    Answer answer;
    answer.kind = Answer::Kind::DropBeforeHeaders;
    return answer;
}

inline Datum plainDatum(std::size_t length)
{
    Datum one;
    one.tokens.assign(length, 1);
    one.lossInputs["target_tokens"] = intTensor(std::vector<std::int64_t>(length, 2));
    return one;
}

/// A scripted trainer with a control plane and one deployment: every submission becomes a future
/// whose result is that of its RPC; statuses and bodies can be put in front of any of them.
class FakeTrainer
{
public:
    struct Submission
    {
        QByteArray rpc;
        QByteArray body;
        QByteArray idempotencyKey;
        [[nodiscard]] bool has(const QByteArray& text) const { return body.contains(text); }
    };

    FakeTrainer()
    {
        server.route = [this](const SeenRequest& request) { return answerTo(request); };
        Connection connection;
        connection.url = server.url().toStdString();
        connection.account = "local";
        http = std::make_unique<HttpClient>(connection, [] { return QByteArray("key"); });
        RetryPolicy policy;
        policy.firstDelay = std::chrono::milliseconds(2);
        policy.maxDelay = std::chrono::milliseconds(5);
        policy.jitter = 0;
        policy.minRateDelay = std::chrono::milliseconds(2);
        http->setRetryPolicy(policy);
        control = std::make_unique<FireworksClient>(*http);
        service = makeService();
    }
    [[nodiscard]] std::unique_ptr<FiretitanServiceClient> makeService()
    {
        auto made = std::make_unique<FiretitanServiceClient>(
            *http, server.url().toStdString() + "/training/v1/rlorTrainerJobs/local/j/");
        TrainerTiming timing;
        timing.pollPause = std::chrono::milliseconds(2);
        timing.billingPause = std::chrono::milliseconds(3);
        timing.resampleDelay = std::chrono::milliseconds(2);
        made->setTiming(timing);
        return made;
    }
    [[nodiscard]] std::shared_ptr<FiretitanTrainingClient> client(int loraRank = 0)
    {
        auto created = await(service->createTrainingClient("accounts/local/models/m", loraRank));
        return created ? *created : nullptr;
    }
    [[nodiscard]] QByteArrayList rpcs() const
    {
        QByteArrayList names;
        for (const auto& submission : submissions)
            names.append(submission.rpc);
        return names;
    }
    [[nodiscard]] const Submission& last() const { return submissions.last(); }

    ScriptedServer server;
    std::unique_ptr<HttpClient> http;
    std::unique_ptr<FireworksClient> control;
    std::unique_ptr<FiretitanServiceClient> service;

    QHash<QByteArray, QByteArray> results {
        { "create_model", R"({"model_id":"sess-1:train:0","type":"create_model"})" },
        { "optim_step", R"({"metrics":{"grad_norm":0.5}})" },
        { "save_weights", R"({"path":"saved-here","type":"save_weights"})" },
        { "load_weights", R"({"path":"s","type":"load_weights"})" },
        { "load_adapter", R"({"model_id":"m","adapter_path":"a","type":"load_adapter"})" },
        { "unload_model", R"({"model_id":"m","type":"unload_model"})" },
        { "save_weights_for_sampler",
            R"({"path":"on-the-trainer","type":"save_weights_for_sampler"})" },
        { "asample",
            R"({"type":"sample","sequences":[{"stop_reason":"length","tokens":[7,8],"logprobs":[-0.1,-0.2]}],"prompt_logprobs":[null,-0.5]})" },
    };
    QHash<QByteArray, QByteArray> direct {
        { "create_session", R"({"type":"create_session","session_id":"sess-1"})" },
        { "session_heartbeat", R"({"type":"session_heartbeat"})" },
        { "list_checkpoints", R"({"checkpoints":["step-2","step-4"]})" },
        { "get_info",
            R"({"model_id":"m","model_name":"toy","is_lora":true,"lora_rank":8,"model_data":{"arch":"a","model_name":"toy","tokenizer_id":"t"}})" },
        { "weights_info",
            R"({"base_model":"accounts/local/models/m","is_lora":true,"lora_rank":8})" },
        { "create_sampling_session",
            R"({"type":"create_sampling_session","sampling_session_id":"sess-1:sample:0"})" },
    };
    QHash<QByteArray, std::deque<Answer>> before; ///< played first, by RPC (retrieve_future too)
    std::function<QByteArray(const Submission&)> result; ///< asked before `results`
    std::function<int(const Submission&)> delayMs; ///< of the answer to a submission
    bool holdsPolls = false;
    int heldPolls = 0;
    int heartbeats = 0;
    QList<Submission> submissions;
    QByteArray checkpoints = "{}"; ///< body of the control plane's list
    int checkpointsStatus = 200;
    std::function<QByteArray()> listRows; ///< instead of `checkpoints`
    std::vector<Replica> replicas { { "r0", "", true, "idle", "", "", {} } };
    QList<QByteArray> hotloads; ///< bodies of the POSTs
    std::deque<Answer> hotloadAnswers; ///< played first
    std::function<void(const std::string& identity)> onHotload; ///< instead of loading it
    QList<QByteArray> promotions;

private:
    Answer answerTo(const SeenRequest& request)
    {
        const auto path = request.path();
        if (path == "/hot_load/v1/models/hot_load")
            return hotload(request);
        if (path.startsWith("/v1/") && path.endsWith(":promote")) {
            promotions.append(request.body);
            return okAnswer(R"({"model":{"name":"accounts/local/models/out","state":"READY"}})");
        }
        if (path.endsWith("/checkpoints"))
            return statusAnswer(checkpointsStatus, listRows ? listRows() : checkpoints);
        const auto rpc = path.mid(path.indexOf("/api/v1/") + 8);
        if (rpc == "session_heartbeat")
            ++heartbeats;
        if (auto& first = before[rpc]; !first.empty()) {
            auto answer = std::move(first.front());
            first.pop_front();
            return answer;
        }
        if (rpc == "retrieve_future")
            return poll(request);
        if (direct.contains(rpc))
            return okAnswer(direct.value(rpc));
        if (rpc.startsWith("samplers/"))
            return okAnswer(R"({"sampler_id":"s","base_model":"b","model_path":null})");
        submissions.append({ rpc, request.body, request.headers.value("x-idempotency-key") });
        auto answer =
            okAnswer("{\"request_id\":\"f" + QByteArray::number(submissions.size() - 1) + "\"}");
        if (delayMs)
            answer.delayMs = delayMs(submissions.last());
        return answer;
    }
    Answer poll(const SeenRequest& request)
    {
        if (holdsPolls) {
            ++heldPolls;
            Answer silent;
            silent.kind = Answer::Kind::Silence;
            return silent;
        }
        const auto id = decodeRetrieve(
            { request.body.constData(), static_cast<std::size_t>(request.body.size()) });
        const auto index = id ? QByteArray::fromStdString(id->substr(1)).toLongLong() : -1;
        if (index < 0 || index >= submissions.size())
            return statusAnswer(404);
        const auto submission = submissions.at(index);
        if (result) {
            if (auto body = result(submission); !body.isEmpty())
                return okAnswer(std::move(body));
        }
        if (results.contains(submission.rpc))
            return okAnswer(results.value(submission.rpc));
        if (submission.rpc == "forward" || submission.rpc == "forward_backward")
            return okAnswer(passResult(submission.body));
        return statusAnswer(404);
    }
    /// One output per datum: logprob -(position + 1) / 2 of every target; "loss:sum" is their
    /// count.
    static QByteArray passResult(const QByteArray& body)
    {
        const auto request =
            decodeForward({ body.constData(), static_cast<std::size_t>(body.size()) });
        if (!request)
            return R"({"error":"unreadable","category":"user"})";
        ForwardResult pass;
        double count = 0;
        for (const auto& datum : request->data) {
            std::vector<float> logprobs;
            const auto targets = datum.lossInputs.at("target_tokens").ints.size();
            for (std::size_t i = 0; i < targets; ++i)
                logprobs.push_back(-0.5F * static_cast<float>(i + 1));
            count += static_cast<double>(targets);
            pass.outputs.push_back({ { "logprobs", floatTensor(std::move(logprobs)) } });
        }
        pass.metrics["loss:sum"] = count;
        return QByteArray::fromStdString(*encodeForwardResult(pass));
    }
    Answer hotload(const SeenRequest& request)
    {
        if (request.method != "POST")
            return okAnswer(QByteArray::fromStdString(encodeHotloadStatus(replicas)));
        hotloads.append(request.body);
        if (!hotloadAnswers.empty()) {
            auto answer = std::move(hotloadAnswers.front());
            hotloadAnswers.pop_front();
            return answer;
        }
        const auto load = decodeHotload(
            { request.body.constData(), static_cast<std::size_t>(request.body.size()) });
        if (!load)
            return statusAnswer(400);
        if (onHotload) {
            onHotload(load->identity);
        } else {
            for (auto& replica : replicas) {
                replica.currentSnapshot = load->identity;
                replica.targetSnapshot = load->identity;
                replica.loadedAdapters = { load->identity };
            }
        }
        return okAnswer("{}");
    }
};

} // namespace desk::test
