// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/train/train_loop.h"

#include "services/core/resource_name.h"
#include "services/on_finished.h"
#include "services/train/schedule.h"

#include <algorithm>
#include <cstdio>
#include <unistd.h>

namespace desk {
namespace {

    constexpr std::int64_t kStepsInFlight = 2;
    constexpr std::size_t kEvalSequences = 8;
    constexpr std::int64_t kKeptLosses = 64;
    constexpr std::size_t kRateSteps = 8;

    GradAccNormalization normalizationOf(const Recipe& recipe)
    {
        if (recipe.gradAccumulationNormalization == "num_loss_tokens")
            return GradAccNormalization::NumLossTokens;
        if (recipe.gradAccumulationNormalization == "num_sequences")
            return GradAccNormalization::NumSequences;
        return GradAccNormalization::None;
    }

    /// Metric `name` of an optimizer step; servers write it bare or as "name:last".
    std::optional<double> optimMetric(const OptimResult& result, const std::string& name)
    {
        for (const std::string& key : { name, name + ":last" })
            if (const auto found = result.metrics.find(key); found != result.metrics.end())
                return found->second;
        return std::nullopt;
    }

    std::optional<double> meanLoss(const ForwardResult& result, double lossTokens)
    {
        const auto sum = result.metrics.find("loss:sum");
        if (sum == result.metrics.end() || lossTokens <= 0)
            return std::nullopt;
        return sum->second / lossTokens;
    }

    std::int64_t microsecondsOf(Time time)
    {
        return time.time_since_epoch().count();
    }

} // namespace

TrainLoop::TrainLoop(TrainServices services, RunFolder& folder, TrainSpec spec, QObject* parent)
    : QObject(parent)
    , m_services(services)
    , m_folder(folder)
    , m_spec(std::move(spec))
    , m_batches(m_spec.data, m_spec.recipe.batchSize, m_spec.recipe.seed)
    , m_control([this](const ControlCommand& command, const ControlServer::Reply& reply) {
        handleControl(command, reply);
    })
{
    const Recipe& recipe = m_spec.recipe;
    m_total = recipe.maxSteps ? *recipe.maxSteps : m_batches.stepsFor(recipe.epochs.value_or(1));
    const std::size_t count = std::min(kEvalSequences, m_spec.evalData.sequenceCount());
    for (std::size_t i = 0; i < count; ++i)
        m_evalBatch.push_back(m_spec.evalData.sequence(i, 0));
    if (m_spec.resume)
        m_submitted = m_updated = m_done = m_spec.resume->step;
    m_stopTimer.setSingleShot(true);
    connect(&m_stopTimer, &QTimer::timeout, this, [this] {
        m_folder.log("stopped without waiting for the trainer any longer");
        finish(done());
    });
}

TrainLoop::~TrainLoop() = default;

void TrainLoop::start()
{
    if (const Status listening = m_control.listen(QString::fromStdString(m_folder.controlSocket()));
        !listening)
        return fail(listening.error());
    (void)m_folder.writeStatus({ 0, "provisioning", std::nullopt });
    m_folder.log("starting, " + std::to_string(m_total) + " steps");
    connectJob();
}

void TrainLoop::connectJob()
{
    if (!m_spec.resume || m_spec.resume->config.job.empty())
        return createJob({});
    const std::string job = m_spec.resume->config.job;
    const std::string state = m_spec.resume->stateName;
    const auto use = [this, job, state](const Result<TrainerServiceEndpoint>& endpoint) {
        if (endpoint)
            return openSession(*endpoint, state);
        if (endpoint.error().code == Error::Code::Unreachable
            || endpoint.error().code == Error::Code::Auth)
            return fail(endpoint.error());
        // The job is gone for good; its states can still be loaded into a new one.
        m_folder.log("the job cannot go on: " + endpoint.error().message);
        createJob(state.empty() ? std::string()
                                : "cross_job://" + std::string(lastSegment(job)) + "/" + state);
    };
    onFinished(
        m_services.client.getJob(job), this, [this, job, use](const Result<TrainerJob>& row) {
            if (row && (row->state == JobState::Running || row->state == JobState::Idle))
                return onFinished(m_services.jobs.waitForExisting(job), this, use);
            if (row)
                return onFinished(m_services.jobs.resumeAndWait(job), this, use);
            use(row.error());
        });
}

void TrainLoop::createJob(const std::string& loadFrom)
{
    CreateJob request;
    request.displayName = m_spec.runName;
    request.baseModel = m_spec.baseModel;
    request.loraRank = m_spec.recipe.loraRank;
    request.learningRate = m_spec.recipe.learningRate;
    request.hotLoadDeploymentId = std::string(lastSegment(m_spec.recipe.deployment));
    onFinished(m_services.jobs.createAndWait(std::move(request)), this,
        [this, loadFrom](const Result<TrainerServiceEndpoint>& endpoint) {
            if (!endpoint)
                return fail(endpoint.error());
            openSession(*endpoint, loadFrom);
        });
}

void TrainLoop::openSession(const TrainerServiceEndpoint& endpoint, const std::string& loadFrom)
{
    if (m_phase == Phase::Stopping) {
        (void)m_folder.writeStatus({ 1, "cancelled", std::nullopt });
        return finish(done());
    }
    m_job = endpoint.jobName;
    m_folder.log("job " + m_job);
    RunConfig config;
    config.runName = m_spec.runName;
    config.job = m_job;
    config.connection = m_spec.connection;
    config.baseModel = m_spec.baseModel;
    config.loraRank = m_spec.recipe.loraRank;
    config.learningRate = m_spec.recipe.learningRate;
    config.totalSteps = m_total;
    config.pid = ::getpid();
    if (const Status written = m_folder.writeConfig(config, m_spec.recipe); !written)
        return fail(written.error());
    Q_EMIT jobCreated(QString::fromStdString(m_job));
    (void)m_folder.writeStatus({ 0, "attaching", std::nullopt });

    m_service = std::make_unique<FiretitanServiceClient>(m_services.http, endpoint.baseUrl);
    connect(&m_service->session(), &TrainerSession::noticed, this,
        [this](const SessionNotice& notice) { m_folder.log("trainer: " + notice.text); });
    LoraConfig lora;
    lora.rank = m_spec.recipe.loraRank;
    if (lora.rank > 0) {
        lora.alpha = m_spec.recipe.loraAlpha;
        lora.seed = m_spec.recipe.seed;
    }
    onFinished(
        m_service->createTrainingClient(m_spec.baseModel, lora, { { "run_name", m_spec.runName } }),
        this, [this, loadFrom](const Result<FiretitanServiceClient::TrainingClient>& client) {
            if (!client)
                return fail(client.error());
            m_training = *client;
            makeSaver();
            startFrom(loadFrom);
        });
}

void TrainLoop::makeSaver()
{
    m_saver = std::make_unique<RunSaver>(
        *m_training, m_services.client, m_folder, m_services.clock, m_job);
    m_saver->lossAt = [this](std::int64_t step) -> std::optional<double> {
        const auto found = m_losses.find(step);
        return found == m_losses.end() ? std::nullopt : std::optional(found->second);
    };
    m_saver->onIdle = [this] { finishIfIdle(); };
    if (m_spec.resume)
        m_saver->setNewest(m_spec.resume->stateName, m_spec.resume->newestSampler);
}

/// A continued run goes on from its own state; a new one from what its recipe names. Which of them
/// it was stands in the log: nothing starts fresh in silence.
void TrainLoop::startFrom(const std::string& loadFrom)
{
    if (!loadFrom.empty()) {
        m_folder.log("loading " + loadFrom);
        return onFinished(m_training->loadStateWithOptimizer(loadFrom), this,
            [this](const Status& loaded) { loaded ? beginTraining() : fail(loaded.error()); });
    }
    if (m_spec.resume) {
        m_folder.log("started fresh from the base model: the run has saved no state");
        return beginTraining();
    }
    TrainingCheckpointsOptions options;
    options.job = m_job;
    m_checkpoints = std::make_unique<TrainingCheckpoints>(
        *m_training, m_services.client, m_services.clock, std::move(options));
    const Recipe& recipe = m_spec.recipe;
    onFinished(m_checkpoints->resume({ recipe.initFromCheckpoint, recipe.warmStartFromAdapter }),
        this, [this](const Result<ResumeOutcome>& outcome) {
            if (!outcome)
                return fail(outcome.error());
            m_folder.log(outcome->statement);
            for (const std::string& warning : outcome->warnings)
                m_folder.log(warning);
            beginTraining();
        });
}

void TrainLoop::beginTraining()
{
    if (m_phase == Phase::Stopping)
        return closeRun();
    if (!m_spec.recipe.deployment.empty()) {
        WeightSyncOptions options;
        options.deployment = m_spec.recipe.deployment;
        options.baseModel = m_spec.baseModel;
        options.ttlSeconds = m_spec.recipe.ttlSeconds;
        options.job = m_job;
        options.chains = m_services.chains;
        options.connection = m_spec.connection;
        m_syncer =
            std::make_unique<WeightSyncer>(*m_training, m_services.deployments, std::move(options));
    }
    m_phase = Phase::Training;
    m_lastStepUs = microsecondsOf(m_services.clock.now());
    (void)m_folder.writeStatus({ 0, "training", 0 });
    m_folder.log("training");
    if (m_submitted == 0)
        submitEvaluation(0);
    pump();
    finishIfIdle();
}

void TrainLoop::pump()
{
    while (m_phase == Phase::Training && m_submitted < m_total
        && m_submitted - m_done < (isPolicyLoss() ? 1 : kStepsInFlight))
        submitStep(m_submitted + 1);
}

void TrainLoop::submitStep(std::int64_t number)
{
    m_submitted = number;
    std::vector<Datum> batch = m_batches.batch(number);
    Step& step = m_steps[number];
    step.tokens = static_cast<double>(tokensOf(batch));
    step.lossTokens = lossTokensOf(batch);
    step.learningRate = learningRateAt(m_spec.recipe, number, m_total);
    if (!isPolicyLoss())
        return submitUpdate(number, std::move(batch));
    onFinished(m_training->forward(batch), this,
        [this, number, batch](const Result<ForwardResult>& before) {
            auto inputs = before.and_then(
                [&batch](const ForwardResult& result) { return policyBatch(batch, result); });
            if (!inputs)
                return fail(inputs.error());
            submitUpdate(number, *std::move(inputs));
        });
}

void TrainLoop::submitUpdate(std::int64_t number, std::vector<Datum> batch)
{
    if (m_phase == Phase::Failed || m_phase == Phase::Finished)
        return;
    m_updated = number;
    AdamParams adam;
    adam.learningRate = m_steps[number].learningRate;
    adam.weightDecay = m_spec.recipe.weightDecay;
    adam.gradClipNorm = m_spec.recipe.gradClipNorm;
    adam.gradNormMetrics = "basic";
    const LossConfig config { m_spec.recipe.lossNumbers, m_spec.recipe.lossTexts };
    onFinished(m_training->forwardBackward(std::move(batch), m_spec.recipe.lossFn, config), this,
        [this, number](Result<ForwardResult> result) {
            if (!result)
                return fail(result.error());
            m_steps[number].forward = *std::move(result);
            completeSteps();
        });
    onFinished(m_training->optimStep(adam, normalizationOf(m_spec.recipe)), this,
        [this, number](Result<OptimResult> result) {
            if (!result)
                return fail(result.error());
            m_steps[number].optim = *std::move(result);
            completeSteps();
        });
    submitEvaluation(number);
    submitPeriodicSaves(number);
}

void TrainLoop::submitEvaluation(std::int64_t step)
{
    const int every = m_spec.recipe.evalEvery;
    if (m_evalBatch.empty() || every <= 0 || (step % every != 0 && step != m_total))
        return;
    ++m_openEvaluations;
    onFinished(m_training->forward(m_evalBatch, "cross_entropy"), this,
        [this, step](const Result<ForwardResult>& result) {
            --m_openEvaluations;
            if (!result)
                return fail(result.error());
            const auto loss = meanLoss(*result, lossTokensOf(m_evalBatch));
            if (loss) {
                const Status written = m_folder.appendMetrics(
                    { step, { { "eval/loss", *loss } }, m_services.clock.now() });
                if (!written)
                    return fail(written.error());
            }
            finishIfIdle();
        });
}

void TrainLoop::submitPeriodicSaves(std::int64_t step)
{
    const Recipe& recipe = m_spec.recipe;
    if (step == m_total) // the saves at the end are of this step
        return;
    if (recipe.stateSaveEvery > 0 && step % recipe.stateSaveEvery == 0)
        (void)m_saver->save({ "state", stepName(step), recipe.ttlSeconds, step, false });
    if (recipe.samplerSaveEvery > 0 && step % recipe.samplerSaveEvery == 0) {
        if (m_syncer)
            syncWeights(step);
        else
            // A delta needs something to stand on: "delta" means base first, then deltas.
            (void)m_saver->save({ recipe.checkpointType == "delta" ? "" : recipe.checkpointType,
                stepName(step), recipe.ttlSeconds, step, false });
    }
}

void TrainLoop::syncWeights(std::int64_t step)
{
    if (m_isSyncing) {
        m_folder.log("the weight sync of step " + std::to_string(step)
            + " waits: the one before is still under way");
        m_isSyncWanted = true; // of what will have been trained by then
        return;
    }
    m_isSyncing = true;
    m_isSyncWanted = false;
    const std::string& type = m_spec.recipe.checkpointType;
    onFinished(m_syncer->saveAndHotload(stepName(step), type == "delta" ? "" : type), this,
        [this, step](const Result<SyncResult>& result) {
            m_isSyncing = false;
            const bool isOver = m_phase == Phase::Failed || m_phase == Phase::Finished;
            if (m_isSyncWanted && !isOver)
                syncWeights(m_updated);
            if (!result) { // the next one starts anew with a base; training goes on
                m_folder.log("the weight sync failed: " + result.error().message);
                return finishIfIdle();
            }
            for (const std::string& warning : result->warnings)
                m_folder.log(warning);
            onFinished(m_saver->record({ result->checkpointType, stepName(step),
                                           m_spec.recipe.ttlSeconds, step, false },
                           result->snapshotName, result->snapshotName),
                this, [this](const Result<ControlSaved>&) { finishIfIdle(); });
        });
}

/// Answers of two steps in flight may come in either order; the ledger is written in the order of
/// the steps.
void TrainLoop::completeSteps()
{
    while (!m_steps.empty() && m_phase != Phase::Failed && m_phase != Phase::Finished) {
        const auto oldest = m_steps.begin();
        if (!oldest->second.forward || !oldest->second.optim)
            return;
        const std::int64_t number = oldest->first;
        const Step step = std::move(oldest->second);
        m_steps.erase(oldest);
        m_done = number;
        writeStep(number, step);
        if (m_phase == Phase::Failed)
            return;
        Q_EMIT stepped(number);
        pump();
        finishIfIdle();
    }
}

/// Over the last few steps: steps are submitted ahead, so that two of them may be answered at once
/// after a save, and the time between two answers alone says nothing about the rate.
double TrainLoop::tokensPerSecond(Time now, double tokens)
{
    m_rateWindow.push_back({ microsecondsOf(now), tokens });
    if (m_rateWindow.size() > kRateSteps + 1)
        m_rateWindow.pop_front();
    double sum = 0;
    for (std::size_t i = 1; i < m_rateWindow.size(); ++i)
        sum += m_rateWindow[i].second;
    const auto passed = microsecondsOf(now) - m_rateWindow.front().first;
    return sum / (static_cast<double>(std::max<std::int64_t>(1, passed)) * 1e-6);
}

void TrainLoop::writeStep(std::int64_t number, const Step& step)
{
    const Time now = m_services.clock.now();
    if (m_rateWindow.empty())
        m_rateWindow.push_back({ m_lastStepUs, 0 });
    const double seconds =
        static_cast<double>(std::max<std::int64_t>(1, microsecondsOf(now) - m_lastStepUs)) * 1e-6;
    m_lastStepUs = microsecondsOf(now);
    LedgerRow row;
    row.step = number;
    row.at = now;
    if (const auto loss = meanLoss(*step.forward, step.lossTokens)) {
        row.metrics.emplace_back("train/loss", *loss);
        m_losses[number] = *loss;
        m_losses.erase(m_losses.begin(), m_losses.lower_bound(number - kKeptLosses));
    }
    row.metrics.emplace_back("optim/lr", step.learningRate);
    if (const auto norm = optimMetric(*step.optim, "grad_norm"))
        row.metrics.emplace_back("optim/grad_norm", *norm);
    row.metrics.emplace_back("perf/tokens_per_second", tokensPerSecond(now, step.tokens));
    row.metrics.emplace_back("perf/step_time", seconds);
    row.metrics.emplace_back("train/num_tokens", step.tokens);
    row.metrics.emplace_back("progress/epoch", m_batches.epochsAt(number));
    row.metrics.emplace_back(
        "progress/done_frac", static_cast<double>(number) / static_cast<double>(m_total));
    if (const Status written = m_folder.appendMetrics(row); !written)
        return fail(written.error());
    const auto percent = [this](std::int64_t at) { return static_cast<int>(100 * at / m_total); };
    if (number == 1 || percent(number) != percent(number - 1))
        (void)m_folder.writeStatus({ 0, "training", percent(number) });
}

} // namespace desk
