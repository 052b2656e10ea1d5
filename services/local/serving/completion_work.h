// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "services/codecs/completions_codec.h"
#include "services/core/result.h"
#include "services/local/engine/inference_model.h"
#include "services/local/server/http_types.h"

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

namespace desk::local {

/// One completions request in work: its choices are drawn independently, on any thread, and make
/// one answer or one stream.
class CompletionWork : public std::enable_shared_from_this<CompletionWork>
{
public:
    struct Order
    {
        desk::CompletionRequest request;
        std::shared_ptr<const InferenceModel> model;
        std::string modelName; ///< as the answer says it, with `@<snapshot>`
        std::string deployment; ///< name for the metrics; empty: none
        std::string requestId; ///< of the client, echoed; empty: none
        std::int64_t created = 0; ///< unix seconds
        std::size_t concurrent = 0; ///< requests in work, for the metrics
        std::chrono::steady_clock::time_point arrived;
    };
    /// Refuses what the model cannot do: prompts with unknown tokens or too long a one.
    [[nodiscard]] static Result<std::shared_ptr<CompletionWork>> create(
        Order order, const Responder& responder, const std::stop_token& stop);

    [[nodiscard]] int choiceCount() const noexcept { return static_cast<int>(m_choices.size()); }
    /// Draws one choice; the last one ends the answer.
    void draw(int choice);

private:
    struct Choice
    {
        std::size_t prompt = 0;
        int sample = 0; ///< of its prompt
        std::string text; ///< bytes made so far
        std::size_t sent = 0; ///< of them, in events
        std::size_t tokensSent = 0; ///< log-probabilities in events
        std::size_t idsSent = 0;
        bool hasBegun = false; ///< its first event is out
        desk::CompletionChoice made;
    };
    explicit CompletionWork(Order order, const Responder& responder);

    [[nodiscard]] Status readPrompts();
    [[nodiscard]] SamplingParams paramsOf(const Choice& choice) const;
    [[nodiscard]] std::vector<std::int32_t> echoOf(const Choice& choice) const;
    [[nodiscard]] desk::TokenLogprob entryOf(std::int32_t token, double logprob,
        std::optional<double> sampling, std::string& text) const;
    void addTop(desk::TokenLogprob& entry, const TopLogprobs& top, std::size_t row) const;
    void takeCompletion(Choice& choice, const Completion& made) const;
    void takeLogprobs(Choice& choice, const Completion& made) const;
    [[nodiscard]] std::string textOf(const Completion& made) const;

    void sendToken(int index, const SampledToken& token);
    void sendEnd(int index);
    void send(desk::Completion&& part); // needs m_mutex
    void finishChoice(int index);
    void refuse(const Error& error);
    [[nodiscard]] desk::Completion shell() const;
    void putFigures(desk::Completion& answer) const;
    [[nodiscard]] HttpResponse head() const;

    Order m_order;
    Responder m_responder;
    std::string m_id;
    std::vector<std::vector<std::int32_t>> m_prompts;
    std::vector<Choice> m_choices;
    std::stop_source m_stop;
    std::optional<std::stop_callback<std::function<void()>>> m_stopsWith;
    std::mutex m_mutex; // guards what follows
    std::optional<ResponseStream> m_stream;
    int m_left = 0;
    bool m_isEnded = false;
    std::int64_t m_completionTokens = 0;
    std::optional<std::chrono::steady_clock::time_point> m_began;
    std::optional<std::chrono::steady_clock::time_point> m_firstToken;
};

/// Answer of the inference side to an error: status and body as gateway.md section 4.9 has them,
/// `x-request-id` echoed.
[[nodiscard]] HttpResponse completionRefusal(const Error& error, const std::string& requestId);
[[nodiscard]] HttpResponse completionTooEarly(
    const std::string& message, const std::string& requestId);

} // namespace desk::local
