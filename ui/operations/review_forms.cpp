// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/operations/review_forms.h"

#include "ui/style/fonts.h"
#include "ui/style/spans.h"
#include "ui/widgets/buttons.h"
#include "ui/widgets/panel.h"
#include "ui/widgets/span_label.h"

#include <QComboBox>
#include <QGridLayout>
#include <QHBoxLayout>
#include <QLineEdit>
#include <QPushButton>
#include <QSpinBox>
#include <QVBoxLayout>

namespace desk {

using namespace Qt::StringLiterals;

namespace {

    QVBoxLayout* formColumn(QWidget* form)
    {
        auto* column = new QVBoxLayout(form);
        column->setContentsMargins(0, 0, 0, 0);
        column->setSpacing(px(6));
        return column;
    }

    /// A field with a bold name above it.
    void addField(QVBoxLayout* column, const QString& name, QWidget* field)
    {
        auto* label = new SpanLabel(name, Face::SecondBold);
        label->setBuddy(field);
        column->addWidget(label);
        column->addWidget(field);
    }

    QComboBox* makeChoiceBox(const QString& objectName, const QString& accessibleName)
    {
        auto* box = new QComboBox;
        box->setObjectName(objectName);
        box->setAccessibleName(accessibleName);
        box->setSizeAdjustPolicy(QComboBox::AdjustToContents);
        box->setMinimumWidth(px(220));
        return box;
    }

    void selectValue(QComboBox* box, const QString& value)
    {
        if (const int row = box->findData(value); row >= 0 && row != box->currentIndex())
            box->setCurrentIndex(row);
    }

    /// Fills a box with the model's choices unless they are there already.
    void offer(QComboBox* box, const QList<ReviewChoice>& choices)
    {
        bool isSame = box->count() == choices.size();
        for (int i = 0; isSame && i < choices.size(); ++i)
            isSame = box->itemData(i).toString() == choices.at(i).value;
        if (isSame)
            return;
        const QSignalBlocker blocked(box);
        box->clear();
        for (const auto& choice : choices)
            box->addItem(choice.text, choice.value);
    }

    /// An id or name with its length counter and what is wrong with it.
    class NameField final : public QWidget
    {
    public:
        NameField(const QString& objectName, const QString& accessibleName, int limit,
            const QString& rule, QWidget* parent = nullptr)
            : QWidget(parent)
            , m_edit(makeBareEdit({}, accessibleName))
            , m_counter(new SpanLabel({}, Face::Second, Tone::Secondary))
            , m_verdict(new SpanLabel({}, Face::Second))
            , m_rule(rule)
            , m_limit(limit)
        {
            m_edit->setObjectName(objectName);
            m_edit->setFont(fontOf(Face::Mono));
            auto* box = new Box;
            box->setFixedHeight(px(30));
            box->setFixedWidth(px(420));
            box->setRingFor(m_edit);
            auto* inside = new QHBoxLayout(box);
            inside->setContentsMargins(px(9), 0, px(9), 0);
            inside->addWidget(m_edit, 1);
            inside->addWidget(m_counter);
            auto* row = new QHBoxLayout(this);
            row->setContentsMargins(0, 0, 0, 0);
            row->setSpacing(px(12));
            row->addWidget(box);
            row->addWidget(m_verdict, 1);
            setFocusProxy(m_edit);
        }
        [[nodiscard]] QLineEdit* edit() const { return m_edit; }
        void refresh(const QString& value, const QStringList& problems)
        {
            if (m_edit->text() != value && !m_edit->hasFocus())
                m_edit->setText(value);
            m_counter->setPlain(u"%1 / %2"_s.arg(m_edit->text().size()).arg(m_limit));
            m_verdict->setMarkup(problems.isEmpty()
                    ? u"<!good><.6><g>"_s + spanEscaped(m_rule)
                    : u"<!fail><.6><f>"_s + spanEscaped(problems.first()));
            m_edit->setAccessibleDescription(problems.join(u' '));
        }

    private:
        QLineEdit* m_edit;
        SpanLabel* m_counter;
        SpanLabel* m_verdict;
        QString m_rule;
        int m_limit;
    };

    class PromoteForm final : public ReviewForm
    {
    public:
        PromoteForm(ReviewModel& model, QWidget* parent)
            : ReviewForm(model, parent)
            , m_id(new NameField(u"reviewSheet.modelId"_s, ReviewModel::tr("Model id"), 63,
                  ReviewModel::tr("lower case, digits, hyphen")))
        {
            auto* column = formColumn(this);
            addField(column, ReviewModel::tr("Model id"), m_id);
            auto* row = new QHBoxLayout;
            row->setSpacing(px(8));
            auto* caption =
                new SpanLabel(ReviewModel::tr("Suggestions"), Face::Second, Tone::Secondary);
            caption->setFixedWidth(caption->sizeHint().width());
            row->addWidget(caption);
            for (const QString& id : model.suggestedIds()) {
                auto* button = makeButton(id, true);
                button->setObjectName(u"reviewSheet.suggestion."_s + id);
                QObject::connect(button, &QPushButton::clicked, this, [this, id] {
                    m_id->edit()->setText(id);
                    this->model().setParameter(u"model_id"_s, id);
                });
                row->addWidget(button);
            }
            row->addStretch(1);
            column->addLayout(row);
            QObject::connect(m_id->edit(), &QLineEdit::textEdited, this,
                [this](const QString& text) { this->model().setParameter(u"model_id"_s, text); });
        }
        void refresh() override
        {
            m_id->refresh(model().parameter(u"model_id"_s), model().nameProblems());
        }
        [[nodiscard]] QWidget* firstField() const override { return m_id; }

    private:
        NameField* m_id;
    };

    class SaveForm final : public ReviewForm
    {
    public:
        SaveForm(ReviewModel& model, QWidget* parent)
            : ReviewForm(model, parent)
            , m_kind(makeChoiceBox(u"reviewSheet.kind"_s, ReviewModel::tr("Kind of checkpoint")))
            , m_name(new NameField(u"reviewSheet.name"_s, ReviewModel::tr("Checkpoint name"), 63,
                  ReviewModel::tr("a session suffix is added by the trainer")))
            , m_ttl(makeChoiceBox(u"reviewSheet.ttl"_s, ReviewModel::tr("Kept for")))
        {
            auto* column = formColumn(this);
            m_kind->addItem(ReviewModel::tr("Base: full weights, can be promoted"), u"base"_s);
            m_kind->addItem(
                ReviewModel::tr("Delta: XOR against the parent, about ten times smaller"),
                u"delta"_s);
            m_kind->addItem(
                ReviewModel::tr("State: weights and optimizer, to resume from"), u"state"_s);
            addField(column, ReviewModel::tr("Kind"), m_kind);
            addField(column, ReviewModel::tr("Name"), m_name);
            m_ttl->addItem(ReviewModel::tr("until it is deleted"), QString());
            m_ttl->addItem(ReviewModel::tr("1 hour"), u"3600"_s);
            m_ttl->addItem(ReviewModel::tr("1 day"), u"86400"_s);
            m_ttl->addItem(ReviewModel::tr("7 days"), u"604800"_s);
            addField(column, ReviewModel::tr("Kept"), m_ttl);
            QObject::connect(m_kind, &QComboBox::currentIndexChanged, this, [this] {
                this->model().setParameter(u"kind"_s, m_kind->currentData().toString());
            });
            QObject::connect(m_ttl, &QComboBox::currentIndexChanged, this, [this] {
                this->model().setParameter(u"ttl_seconds"_s, m_ttl->currentData().toString());
            });
            QObject::connect(m_name->edit(), &QLineEdit::textEdited, this,
                [this](const QString& text) { this->model().setParameter(u"name"_s, text); });
        }
        void refresh() override
        {
            selectValue(m_kind, model().parameter(u"kind"_s));
            m_name->refresh(model().parameter(u"name"_s), model().nameProblems());
        }
        [[nodiscard]] QWidget* firstField() const override { return m_name; }

    private:
        QComboBox* m_kind;
        NameField* m_name;
        QComboBox* m_ttl;
    };

    class HotloadForm final : public ReviewForm
    {
    public:
        HotloadForm(ReviewModel& model, QWidget* parent)
            : ReviewForm(model, parent)
            , m_deployment(
                  makeChoiceBox(u"reviewSheet.deployment"_s, ReviewModel::tr("Deployment")))
            , m_full(makeChoiceBox(u"reviewSheet.full"_s, ReviewModel::tr("What is sent")))
            , m_cache(makeChoiceBox(u"reviewSheet.cache"_s, ReviewModel::tr("Prompt cache")))
        {
            auto* grid = new QGridLayout(this);
            grid->setContentsMargins(0, 0, 0, 0);
            grid->setHorizontalSpacing(px(16));
            grid->setVerticalSpacing(px(6));
            m_full->addItem(ReviewModel::tr("as saved: a delta on its parent"), QString());
            m_full->addItem(ReviewModel::tr("full weights"), u"1"_s);
            m_cache->addItem(ReviewModel::tr("reset for everybody"), u"all"_s);
            m_cache->addItem(ReviewModel::tr("reset for new sessions"), u"new_session"_s);
            m_cache->addItem(ReviewModel::tr("kept"), u"none"_s);
            const auto add = [&](int cell, const QString& name, QComboBox* box) {
                auto* label = new SpanLabel(name, Face::SecondBold);
                label->setBuddy(box);
                grid->addWidget(label, 0, cell);
                grid->addWidget(box, 1, cell);
            };
            add(0, ReviewModel::tr("Deployment"), m_deployment);
            add(1, ReviewModel::tr("Sent"), m_full);
            add(2, ReviewModel::tr("Prompt cache"), m_cache);
            grid->setColumnStretch(3, 1);
            bind(m_deployment, u"deployment"_s);
            bind(m_full, u"full"_s);
            bind(m_cache, u"reset_prompt_cache"_s);
        }
        void refresh() override
        {
            offer(m_deployment, model().deployments());
            selectValue(m_deployment, model().parameter(u"deployment"_s));
            selectValue(m_cache, model().parameter(u"reset_prompt_cache"_s));
            selectValue(m_full, model().parameter(u"full"_s));
        }
        [[nodiscard]] QWidget* firstField() const override { return m_deployment; }

    private:
        void bind(QComboBox* box, const QString& key)
        {
            QObject::connect(box, &QComboBox::currentIndexChanged, this,
                [this, box, key] { model().setParameter(key, box->currentData().toString()); });
        }
        QComboBox* m_deployment;
        QComboBox* m_full;
        QComboBox* m_cache;
    };

    class CreateForm final : public ReviewForm
    {
    public:
        CreateForm(ReviewModel& model, QWidget* parent)
            : ReviewForm(model, parent)
            , m_name(new NameField(u"reviewSheet.name"_s, ReviewModel::tr("Deployment name"), 63,
                  ReviewModel::tr("cannot be renamed later")))
            , m_job(makeChoiceBox(u"reviewSheet.job"_s, ReviewModel::tr("Trainer job")))
            , m_replicas(new QSpinBox)
        {
            m_replicas->setObjectName(u"reviewSheet.replicas"_s);
            m_replicas->setAccessibleName(ReviewModel::tr("Replicas"));
            m_replicas->setRange(1, 8);
            m_replicas->setValue(model.parameter(u"replicas"_s).toInt());
            auto* column = formColumn(this);
            addField(column, ReviewModel::tr("Name"), m_name);
            addField(column, ReviewModel::tr("Serves the snapshots of"), m_job);
            auto* row = new QHBoxLayout;
            row->setSpacing(px(8));
            row->addWidget(new SpanLabel(ReviewModel::tr("Replicas"), Face::SecondBold));
            row->addWidget(m_replicas);
            row->addStretch(1);
            column->addLayout(row);
            QObject::connect(m_name->edit(), &QLineEdit::textEdited, this,
                [this](const QString& text) { this->model().setParameter(u"name"_s, text); });
            QObject::connect(m_job, &QComboBox::currentIndexChanged, this,
                [this] { this->model().setParameter(u"job"_s, m_job->currentData().toString()); });
            QObject::connect(m_replicas, &QSpinBox::valueChanged, this, [this](int value) {
                this->model().setParameter(u"replicas"_s, QString::number(value));
            });
        }
        void refresh() override
        {
            offer(m_job, model().jobs());
            selectValue(m_job, model().parameter(u"job"_s));
            m_name->refresh(model().parameter(u"name"_s), model().nameProblems());
        }
        [[nodiscard]] QWidget* firstField() const override { return m_name; }

    private:
        NameField* m_name;
        QComboBox* m_job;
        QSpinBox* m_replicas;
    };

    /// Deleting and cancelling have no parameters; the sheet says what goes.
    class PlainForm final : public ReviewForm
    {
    public:
        using ReviewForm::ReviewForm;
        void refresh() override { }
    };

} // namespace

ReviewForm::ReviewForm(ReviewModel& model, QWidget* parent)
    : QWidget(parent)
    , m_model(model)
{
}

ReviewForm* makeReviewForm(ReviewModel& model, QWidget* parent)
{
    switch (model.kind()) {
    case OperationKind::Promote:
        return new PromoteForm(model, parent);
    case OperationKind::Save:
        return new SaveForm(model, parent);
    case OperationKind::Hotload:
        return new HotloadForm(model, parent);
    case OperationKind::Create:
        return new CreateForm(model, parent);
    case OperationKind::Previous:
    case OperationKind::Resume:
    case OperationKind::Cancel:
    case OperationKind::Delete:
    case OperationKind::Extend:
    case OperationKind::Scale:
        break;
    }
    return new PlainForm(model, parent);
}

} // namespace desk
