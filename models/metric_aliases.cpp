// SPDX-License-Identifier: GPL-3.0-or-later
#include "models/metric_aliases.h"

#include "services/metrics/series_store.h"

namespace desk {

const std::vector<std::string>& aliasesOf(MetricConcept what)
{
    static const std::vector<std::string> trainLoss { "train/loss", "train/ce_loss",
        "train/mean_nll", "train_mean_nll", "train/mean_loss", "train/dpo_loss", "train/orpo_loss",
        "dpo_loss", "actor/pg_loss", "loss", "loss:sum", "train_loss" };
    static const std::vector<std::string> evalLoss { "eval/loss", "test/nll", "eval/mean_nll",
        "eval_loss", "val/loss", "validation/loss", "valid/loss", "test/loss" };
    static const std::vector<std::string> learningRate { "optim/lr", "train/lr",
        "train/learning_rate", "learning_rate", "actor/lr", "lr" };
    static const std::vector<std::string> gradientNorm { "optim/grad_norm", "train/grad_norm",
        "grad_norm", "actor/grad_norm", "train/grad_norm_rms", "grad_norm_rms" };
    static const std::vector<std::string> throughput { "perf/tokens_per_second",
        "train/tokens_per_sec", "perf/step_tokens_per_s", "perf/tokens_per_s",
        "perf/tokens_per_sec", "tokens_per_second", "tokens_per_sec", "perf/throughput",
        "train_tokens_per_second" };
    switch (what) {
    case MetricConcept::TrainLoss:
        break;
    case MetricConcept::EvalLoss:
        return evalLoss;
    case MetricConcept::LearningRate:
        return learningRate;
    case MetricConcept::GradientNorm:
        return gradientNorm;
    case MetricConcept::Throughput:
        return throughput;
    }
    return trainLoss;
}

std::optional<std::string> findMetric(const SeriesStore& store, MetricConcept what)
{
    for (const std::string& name : aliasesOf(what)) {
        const SeriesSnapshot snapshot = store.snapshot(name);
        if (!snapshot.isNull() && snapshot.size() > 0)
            return name;
    }
    return std::nullopt;
}

} // namespace desk
