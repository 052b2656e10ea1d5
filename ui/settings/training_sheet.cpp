// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/settings/training_sheet.h"

#include "models/format.h"
#include "models/training_form.h"
#include "ui/style/fonts.h"
#include "ui/widgets/buttons.h"

#include <QComboBox>
#include <QGridLayout>
#include <QHBoxLayout>
#include <QLabel>
#include <QLineEdit>
#include <QPushButton>
#include <QScopedValueRollback>
#include <QSpinBox>
#include <QVBoxLayout>

using namespace Qt::StringLiterals;

namespace desk {

TrainingSheet::TrainingSheet(TrainingForm& form, QWidget* parent)
    : SheetFrame(u"trainingSheet"_s, tr("New training"), parent)
    , m_form(form)
{
    makeFields();
    makeFoot();
    connect(&form, &TrainingForm::changed, this, &TrainingSheet::refresh);
    connect(&form, &TrainingForm::started, this, &TrainingSheet::closeRequested);
}

QWidget* TrainingSheet::makeFileField(QLineEdit*& edit, const QString& name, bool isEval)
{
    auto* field = new QWidget;
    auto* row = new QHBoxLayout(field);
    row->setContentsMargins(0, 0, 0, 0);
    row->setSpacing(px(8));
    edit = new QLineEdit;
    edit->setObjectName(u"trainingSheet."_s + name);
    auto* choose = makeButton(tr("Choose\u2026"));
    choose->setObjectName(u"trainingSheet."_s + name + u".choose"_s);
    row->addWidget(edit, 1);
    row->addWidget(choose);
    field->setFocusProxy(edit);
    connect(edit, &QLineEdit::textEdited, this, &TrainingSheet::read);
    connect(choose, &QPushButton::clicked, this, [this, isEval] { Q_EMIT fileWanted(isEval); });
    return field;
}

QSpinBox* TrainingSheet::makeNumber(const QString& name, int minimum, int maximum)
{
    auto* box = new QSpinBox;
    box->setObjectName(u"trainingSheet."_s + name);
    box->setRange(minimum, maximum);
    box->setButtonSymbols(QAbstractSpinBox::NoButtons);
    // The box draws the frame; its inner edit must not draw a second one.
    if (auto* edit = box->findChild<QLineEdit*>())
        edit->setProperty("bare", true);
    connect(box, &QSpinBox::valueChanged, this, &TrainingSheet::read);
    return box;
}

void TrainingSheet::makeFields()
{
    addField(tr("Text to train on"), makeFileField(m_file, u"file"_s, false),
        tr("Plain text, or JSON Lines with \u201cprompt\u201d and \u201ccompletion\u201d or "
           "\u201cmessages\u201d."));
    m_file->setAccessibleName(tr("Text to train on"));
    addField(tr("Held-out text (optional)"), makeFileField(m_evalFile, u"evalFile"_s, true),
        tr("Gives the eval/loss curve."));
    m_evalFile->setAccessibleName(tr("Held-out text"));
    m_name = new QLineEdit;
    m_name->setObjectName(u"trainingSheet.name"_s);
    m_name->setPlaceholderText(tr("the file's name"));
    addField(tr("Name"), m_name);
    connect(m_name, &QLineEdit::textEdited, this, &TrainingSheet::read);
    m_model = new QComboBox;
    m_model->setObjectName(u"trainingSheet.model"_s);
    addField(tr("Base model"), m_model);
    connect(m_model, &QComboBox::activated, this, &TrainingSheet::read);
    m_steps = makeNumber(u"steps"_s, 1, 10'000'000);
    addField(tr("Steps"), m_steps);
    m_rate = new QLineEdit;
    m_rate->setObjectName(u"trainingSheet.learningRate"_s);
    connect(m_rate, &QLineEdit::textEdited, this, &TrainingSheet::read);
    addField(tr("Learning rate"), m_rate, tr("Decays by a cosine to a tenth over the steps."));
    m_batch = makeNumber(u"batchSize"_s, 1, 4096);
    addField(tr("Sequences a step"), m_batch);
    m_evalEvery = makeNumber(u"evalEvery"_s, 0, 1'000'000);
    addField(tr("Evaluate every \u2026 steps"), m_evalEvery, tr("0: never"));
    m_stateEvery = makeNumber(u"stateEvery"_s, 0, 1'000'000);
    addField(tr("Save the training state every \u2026 steps"), m_stateEvery,
        tr("0: never. A state is what a crashed training goes on from."));
    m_samplerEvery = makeNumber(u"samplerEvery"_s, 0, 1'000'000);
    addField(tr("Save a model snapshot every \u2026 steps"), m_samplerEvery,
        tr("0: never. The first is a base, later ones are deltas."));
    m_note = new QLabel;
    m_note->setObjectName(u"trainingSheet.note"_s);
    m_note->setWordWrap(true);
    m_note->setFont(fontOf(Face::Second));
    m_note->setForegroundRole(QPalette::PlaceholderText);
    body()->addWidget(m_note);
    body()->addStretch(1);
}

void TrainingSheet::makeFoot()
{
    auto* cancel = makeButton(tr("Cancel"));
    cancel->setObjectName(u"trainingSheet.cancel"_s);
    m_start = makeButton(tr("Start training"));
    m_start->setObjectName(u"trainingSheet.start"_s);
    setCommit(m_start, true);
    foot()->addStretch(1);
    foot()->addWidget(cancel);
    foot()->addWidget(m_start);
    connect(cancel, &QPushButton::clicked, this, &TrainingSheet::closeRequested);
    connect(m_start, &QPushButton::clicked, &m_form, &TrainingForm::start);
}

void TrainingSheet::begin()
{
    const QScopedValueRollback guard(m_isFilling, true);
    const TrainingFields& fields = m_form.fields();
    m_file->setText(fields.dataFile);
    m_evalFile->setText(fields.evalFile);
    m_name->setText(fields.name);
    m_model->clear();
    for (const QString& model : m_form.baseModels())
        m_model->addItem(format::lastSegment(model), model);
    m_model->setCurrentIndex(std::max(0, m_model->findData(fields.baseModel)));
    m_steps->setValue(fields.steps);
    m_rate->setText(format::exactNumber(fields.learningRate));
    m_batch->setValue(fields.batchSize);
    m_evalEvery->setValue(fields.evalEvery);
    m_stateEvery->setValue(fields.stateSaveEvery);
    m_samplerEvery->setValue(fields.samplerSaveEvery);
    refresh();
    m_file->setFocus(Qt::OtherFocusReason);
}

void TrainingSheet::setFile(bool isEval, const QString& path)
{
    (isEval ? m_evalFile : m_file)->setText(path);
    read();
}

void TrainingSheet::read()
{
    if (m_isFilling)
        return;
    TrainingFields fields = m_form.fields();
    fields.dataFile = m_file->text().trimmed();
    fields.evalFile = m_evalFile->text().trimmed();
    fields.name = m_name->text();
    fields.baseModel = m_model->currentData().toString();
    fields.steps = m_steps->value();
    bool isNumber = false;
    fields.learningRate = m_rate->text().trimmed().toDouble(&isNumber);
    if (!isNumber)
        fields.learningRate = 0; // the form says what is allowed
    fields.batchSize = m_batch->value();
    fields.evalEvery = m_evalEvery->value();
    fields.stateSaveEvery = m_stateEvery->value();
    fields.samplerSaveEvery = m_samplerEvery->value();
    m_form.setFields(fields);
}

void TrainingSheet::refresh()
{
    const QString problem = m_form.problem();
    m_start->setEnabled(problem.isEmpty());
    m_start->setAccessibleDescription(problem);
    m_note->setText(problem);
}

} // namespace desk
