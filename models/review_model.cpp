// SPDX-License-Identifier: GPL-3.0-or-later
#include "models/review_model.h"

#include "models/format.h"
#include "services/core/resource_name.h"
#include "services/on_finished.h"
#include "services/operations/operation_center.h"

#include <QRegularExpression>

namespace desk {

using namespace Qt::StringLiterals;

namespace {

    constexpr int kKeystrokeMs = 150;
    constexpr int kHoldSeconds = 5;

    /// Tiers of ui.md section 2.7.
    int tierOf(OperationKind kind)
    {
        switch (kind) {
        case OperationKind::Save:
        case OperationKind::Extend:
            return 2;
        case OperationKind::Promote:
        case OperationKind::Hotload:
        case OperationKind::Previous:
        case OperationKind::Resume:
        case OperationKind::Scale:
        case OperationKind::Create:
            return 3;
        case OperationKind::Cancel:
        case OperationKind::Delete:
            return 4;
        }
        return 4;
    }

    /// Lower case, digits and single hyphens, as a model id may be written; at most 63 characters,
    /// cut before the step suffix so that two steps never get one id.
    QString idFrom(const QString& text, const QString& suffix)
    {
        static const QRegularExpression other(u"[^a-z0-9]+"_s);
        QString id = text.toLower();
        id.replace(other, u"-"_s);
        while (id.startsWith(u'-'))
            id.remove(0, 1);
        QString tail = suffix.toLower();
        tail.replace(other, u"-"_s);
        id.truncate(qMax<qsizetype>(0, 63 - tail.size() - 1));
        while (id.endsWith(u'-'))
            id.chop(1);
        return id.isEmpty() ? tail.left(63) : id + u'-' + tail;
    }

    /// "step-0010-a1b2c3d4" is saved as "step-0010": the session suffix says nothing to people.
    QString withoutSession(const QString& snapshot)
    {
        static const QRegularExpression session(u"-[0-9a-f]{8}$"_s);
        return QString(snapshot).remove(session);
    }

    QString textOf(const std::map<std::string, std::string>& parameters, const char* key)
    {
        const auto entry = parameters.find(key);
        return entry == parameters.end() ? QString() : format::fromUtf8(entry->second);
    }

} // namespace

ReviewModel::ReviewModel(OperationCenter& center, ReviewContext context, QObject* parent)
    : QObject(parent)
    , m_center(center)
    , m_context(std::move(context))
{
    m_checkTimer.setSingleShot(true);
    m_checkTimer.setInterval(kKeystrokeMs);
    connect(&m_checkTimer, &QTimer::timeout, this, &ReviewModel::check);
    m_holdTimer.setInterval(1000);
    connect(&m_holdTimer, &QTimer::timeout, this, [this] {
        if (--m_holdLeft > 0) {
            Q_EMIT changed();
            return;
        }
        m_holdTimer.stop();
        send();
    });
    connect(&m_center, &OperationCenter::operationChanged, this, &ReviewModel::watchJournal);
}

ReviewModel::~ReviewModel() = default;

void ReviewModel::open(const ReviewRequest& request)
{
    m_holdTimer.stop();
    m_draft = {};
    m_plan.reset();
    m_error.reset();
    m_typedName.clear();
    m_preflight.setChecks({});
    m_effect.setRows({});
    setDefaults(request);
    m_state = State::Checking;
    Q_EMIT opened();
    check();
}

void ReviewModel::close()
{
    if (m_state == State::Closed)
        return;
    ++m_epoch;
    m_checkTimer.stop();
    m_holdTimer.stop();
    m_state = State::Closed;
    Q_EMIT changed();
    Q_EMIT closed();
}

void ReviewModel::setDefaults(const ReviewRequest& request)
{
    m_draft.kind = request.kind;
    m_draft.by = "window";
    m_draft.connection = format::toUtf8(request.connection);
    m_draft.subject = format::toUtf8(request.checkpoint);
    m_job = request.job;
    if (m_job.isEmpty() && !request.checkpoint.isEmpty())
        if (const auto name = parseCheckpointName(m_draft.subject))
            m_job = format::fromUtf8(name->jobName().toString());
    auto& values = m_draft.parameters;
    switch (request.kind) {
    case OperationKind::Save: {
        m_draft.target = format::toUtf8(m_job);
        values["kind"] = "base";
        const auto step = m_context.stepOf ? m_context.stepOf(m_job) : std::nullopt;
        values["name"] =
            format::toUtf8(u"step-%1"_s.arg(step.value_or(0), 4, 10, QLatin1Char('0')));
        break;
    }
    case OperationKind::Promote: {
        m_draft.target = m_draft.subject;
        const auto ids = suggestedIds();
        values["model_id"] = ids.isEmpty() ? std::string() : format::toUtf8(ids.first());
        break;
    }
    case OperationKind::Hotload: {
        const auto choices = deployments();
        m_draft.target = request.deployment.isEmpty()
            ? (choices.isEmpty() ? std::string() : format::toUtf8(choices.first().value))
            : format::toUtf8(request.deployment);
        values["reset_prompt_cache"] = "all";
        break;
    }
    case OperationKind::Create: {
        values["resource"] = "deployment";
        const auto choices = jobs();
        const QString job = m_job.isEmpty() && !choices.isEmpty() ? choices.first().value : m_job;
        values["job"] = format::toUtf8(job);
        values["replicas"] = "2";
        const QString title = m_context.titleOf ? m_context.titleOf(job) : QString();
        values["name"] = format::toUtf8(idFrom(title, u"eval"_s));
        if (m_context.baseModelOf)
            values["base_model"] = format::toUtf8(m_context.baseModelOf(job));
        break;
    }
    case OperationKind::Delete:
        values["resource"] = format::toUtf8(request.resource);
        m_draft.target = format::toUtf8(request.resource == u"deployment" ? request.deployment
                : request.resource == u"model"                            ? request.model
                : request.resource == u"checkpoint"                       ? request.checkpoint
                                                                          : request.job);
        break;
    case OperationKind::Cancel:
    case OperationKind::Resume:
        m_draft.target = format::toUtf8(m_job);
        break;
    case OperationKind::Previous:
    case OperationKind::Scale:
        m_draft.target = format::toUtf8(request.deployment);
        break;
    case OperationKind::Extend:
        m_draft.target = m_draft.subject;
        break;
    }
}

QString ReviewModel::title() const
{
    switch (m_draft.kind) {
    case OperationKind::Save:
        return tr("Save a checkpoint");
    case OperationKind::Promote:
        return tr("Promote to a model");
    case OperationKind::Hotload:
        return tr("Hotload to a deployment");
    case OperationKind::Previous:
        return tr("Go back to the previous snapshot");
    case OperationKind::Resume:
        return tr("Resume the job");
    case OperationKind::Cancel:
        return tr("Cancel the job");
    case OperationKind::Delete:
        return tr("Delete");
    case OperationKind::Extend:
        return tr("Extend the checkpoint");
    case OperationKind::Scale:
        return tr("Scale the deployment");
    case OperationKind::Create:
        return tr("Create a deployment");
    }
    return {};
}

QString ReviewModel::tier() const
{
    switch (m_draft.kind) {
    case OperationKind::Save:
    case OperationKind::Extend:
        return tr("T2 · adds a copy");
    case OperationKind::Promote:
    case OperationKind::Create:
        return tr("T3 · creates a named object");
    case OperationKind::Hotload:
    case OperationKind::Previous:
    case OperationKind::Scale:
        return tr("T3 · changes what is served");
    case OperationKind::Resume:
        return tr("T3 · starts a trainer");
    case OperationKind::Cancel:
    case OperationKind::Delete:
        return tr("T4 · cannot be undone");
    }
    return {};
}

QString ReviewModel::sentence() const
{
    if (m_plan)
        return format::fromUtf8(m_plan->sentence);
    return tr("Checking what would happen…");
}

QString ReviewModel::verb() const
{
    if (m_state == State::Held)
        return tr("Sending in %1 s").arg(m_holdLeft);
    if (m_state == State::Committing)
        return tr("Sending…");
    switch (m_draft.kind) {
    case OperationKind::Save:
        return tr("Save %1 %2").arg(parameter(u"kind"_s), parameter(u"name"_s));
    case OperationKind::Promote:
        return tr("Promote as %1").arg(parameter(u"model_id"_s));
    case OperationKind::Hotload:
        return tr("Hotload to %1").arg(format::lastSegment(parameter(u"deployment"_s)));
    case OperationKind::Create:
        return tr("Create %1").arg(parameter(u"name"_s));
    case OperationKind::Delete:
        return tr("Delete %1").arg(format::lastSegment(format::fromUtf8(m_draft.target)));
    case OperationKind::Cancel:
        return tr("Cancel the job");
    case OperationKind::Previous:
        return tr("Go back");
    case OperationKind::Resume:
        return tr("Resume");
    case OperationKind::Extend:
        return tr("Extend");
    case OperationKind::Scale:
        return tr("Scale");
    }
    return {};
}

QString ReviewModel::preflightSummary() const
{
    if (!m_plan)
        return m_state == State::Checking ? tr("checking…") : QString();
    return m_preflight.summary() + u" · "_s
        + (m_state == State::Checking ? tr("checking again…") : tr("repeated at commit"));
}

QString ReviewModel::parameter(const QString& key) const
{
    if (key == u"checkpoint")
        return format::fromUtf8(m_draft.subject);
    if (key == u"deployment")
        return m_draft.kind == OperationKind::Hotload ? format::fromUtf8(m_draft.target)
                                                      : QString();
    return textOf(m_draft.parameters, format::toUtf8(key).c_str());
}

void ReviewModel::setParameter(const QString& key, const QString& value)
{
    if (m_state == State::Closed || m_state == State::Committing || parameter(key) == value)
        return;
    takeBack();
    if (key == u"deployment")
        m_draft.target = format::toUtf8(value);
    else if (key == u"checkpoint")
        m_draft.subject = format::toUtf8(value);
    else
        m_draft.parameters[format::toUtf8(key)] = format::toUtf8(value);
    if (m_draft.kind == OperationKind::Create && key == u"job" && m_context.baseModelOf)
        m_draft.parameters["base_model"] = format::toUtf8(m_context.baseModelOf(value));
    ++m_epoch; // what is on its way answers an older question
    m_state = State::Checking;
    m_checkTimer.start();
    Q_EMIT changed();
}

QList<ReviewChoice> ReviewModel::deployments() const
{
    return m_context.deploymentsFor ? m_context.deploymentsFor(format::fromUtf8(m_draft.subject))
                                    : QList<ReviewChoice> {};
}

QList<ReviewChoice> ReviewModel::jobs() const
{
    return m_context.jobsFor ? m_context.jobsFor(m_job) : QList<ReviewChoice> {};
}

QStringList ReviewModel::suggestedIds() const
{
    const QString snapshot = withoutSession(format::lastSegment(format::fromUtf8(m_draft.subject)));
    if (snapshot.isEmpty())
        return {};
    QStringList ids;
    const auto add = [&](const QString& text) {
        const QString id = idFrom(text, snapshot);
        if (!text.isEmpty() && validateOutputModelId(format::toUtf8(id)).empty()
            && !ids.contains(id))
            ids << id;
    };
    if (m_context.titleOf)
        add(m_context.titleOf(m_job));
    if (m_context.baseModelOf)
        add(format::lastSegment(m_context.baseModelOf(m_job)));
    if (ids.isEmpty())
        add(format::lastSegment(m_job));
    return ids.mid(0, 3);
}

QStringList ReviewModel::nameProblems() const
{
    QStringList problems;
    if (m_draft.kind == OperationKind::Promote) {
        for (const auto& problem : validateOutputModelId(format::toUtf8(parameter(u"model_id"_s))))
            problems << format::fromUtf8(problem);
    } else if (m_draft.kind == OperationKind::Save || m_draft.kind == OperationKind::Create) {
        static const QRegularExpression usable(u"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$"_s);
        if (!usable.match(parameter(u"name"_s)).hasMatch())
            problems << tr("A name has 1 to 63 letters, digits, points, hyphens or underscores.");
    }
    return problems;
}

QString ReviewModel::nameToType() const
{
    const auto connection = m_context.connection ? m_context.connection() : std::nullopt;
    if (!connection || connection->safetyLevel == SafetyLevel::Free)
        return {};
    const int fromTier = connection->safetyLevel == SafetyLevel::TypeName ? 3 : 4;
    if (tierOf(m_draft.kind) < fromTier)
        return {};
    const QString target =
        m_draft.target.empty() ? parameter(u"name"_s) : format::fromUtf8(m_draft.target);
    return format::lastSegment(target);
}

void ReviewModel::setTypedName(const QString& text)
{
    m_typedName = text;
    Q_EMIT changed();
}

bool ReviewModel::canCommit() const
{
    return whyNot().isEmpty();
}

QString ReviewModel::whyNot() const
{
    if (m_state != State::Ready)
        return m_state == State::Checking ? tr("The checks are still running.")
            : m_state == State::Closed    ? tr("Nothing is under review.")
                                          : tr("It is on its way.");
    if (m_error)
        return m_error->oneLine();
    if (const auto problems = nameProblems(); !problems.isEmpty())
        return problems.first();
    if (const auto* failure = m_plan ? firstFailure(*m_plan) : nullptr)
        return format::fromUtf8(failure->why);
    if (!m_plan || !m_plan->isAllowed)
        return tr("The checks do not allow it.");
    if (const QString name = nameToType(); !name.isEmpty() && m_typedName != name)
        return tr("Type %1 to confirm.").arg(name);
    return {};
}

void ReviewModel::commit()
{
    if (!canCommit())
        return;
    const auto connection = m_context.connection ? m_context.connection() : std::nullopt;
    if (connection && connection->safetyLevel != SafetyLevel::Free) {
        m_holdLeft = kHoldSeconds;
        m_holdTimer.start();
        setState(State::Held);
        return;
    }
    send();
}

void ReviewModel::takeBack()
{
    if (m_state != State::Held)
        return;
    m_holdTimer.stop();
    setState(State::Ready);
}

void ReviewModel::check()
{
    m_checkTimer.stop();
    const quint64 epoch = ++m_epoch;
    onFinished(m_center.plan(m_draft), this, [this, epoch](Result<OperationPlan> plan) {
        if (epoch != m_epoch)
            return;
        if (plan) {
            m_error.reset();
            m_plan = *std::move(plan);
            m_preflight.setChecks(m_plan->preflight);
            m_effect.setRows(m_plan->effect);
        } else {
            m_plan.reset();
            m_error = errorText(plan.error());
            m_preflight.setChecks({});
            m_effect.setRows({});
        }
        setState(State::Ready);
    });
}

void ReviewModel::send()
{
    const OperationPlan plan = *m_plan;
    const quint64 epoch = ++m_epoch;
    setState(State::Committing);
    // The sheet closes when the record is journaled; what becomes of it is told by the dock. Only a
    // commit that never reached the journal comes back here.
    onFinished(m_center.commit(plan), this, [this, epoch](Result<Operation> operation) {
        if (epoch != m_epoch || m_state != State::Committing)
            return;
        if (operation) {
            Q_EMIT committed(format::fromUtf8(operation->id));
            close();
            return;
        }
        m_error = errorText(operation.error());
        setState(State::Ready);
    });
}

void ReviewModel::watchJournal(const QString& id)
{
    if (m_state != State::Committing || !m_plan)
        return;
    const auto operation = m_center.operation(id);
    if (!operation || operation->key != m_plan->key)
        return;
    Q_EMIT committed(id);
    close();
}

void ReviewModel::setState(State state)
{
    m_state = state;
    Q_EMIT changed();
}

} // namespace desk
