// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "services/codecs/sample_codec.h"
#include "services/core/result.h"
#include "services/errand.h"
#include "services/trainer/trainer_session.h"

#include <QFuture>
#include <QObject>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace desk {

/// Draws sequences from weights of a trainer, fixed when the client was made (trainer.md section
/// 7). Any number of calls may be open; they are sent side by side with growing seq_ids. 429 sends
/// the same seq_id again later; a future that has expired is asked for anew with a new one. THREAD:
/// that of the HttpClient. Futures can be canceled.
class FiretitanSamplingClient final : public QObject
{
    Q_OBJECT
public:
    FiretitanSamplingClient(std::shared_ptr<TrainerSession> session, std::string samplingSessionId,
        QObject* parent = nullptr);
    Q_DISABLE_COPY_MOVE(FiretitanSamplingClient)

    /// `request`: prompt, numSamples, temperature, stop, …; session and seq_id are filled in here.
    /// Usage for an empty prompt or no samples. The tokens include the one that ended the sequence.
    [[nodiscard]] QFuture<Result<SampleResult>> sample(SampleRequest request);
    /// log p of every token of `prompt` after those before it; nullopt for the first.
    [[nodiscard]] QFuture<Result<std::vector<std::optional<float>>>> computeLogprobs(
        std::vector<std::int64_t> prompt);
    /// Base model and path that it draws from (samplers/{id}).
    [[nodiscard]] QFuture<Result<SamplerInfo>> info();

    [[nodiscard]] const std::string& samplingSessionId() const { return m_id; }

private:
    void send(const std::shared_ptr<Errand<SampleResult>>& errand, SampleRequest request, int left);
    std::shared_ptr<TrainerSession> m_session;
    std::string m_id;
    std::int64_t m_nextSeqId = 0;
};

} // namespace desk
