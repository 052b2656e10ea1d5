// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/settings/connection_sheet.h"

#include "models/connection_form.h"
#include "models/format.h"
#include "models/item_roles.h"
#include "ui/style/fonts.h"
#include "ui/widgets/buttons.h"
#include "ui/widgets/panel.h"

#include <QCheckBox>
#include <QComboBox>
#include <QHBoxLayout>
#include <QLabel>
#include <QLineEdit>
#include <QPushButton>
#include <QScopedValueRollback>
#include <QVBoxLayout>

using namespace Qt::StringLiterals;

namespace desk {

ConnectionSheet::ConnectionSheet(ConnectionForm& form, QWidget* parent)
    : SheetFrame(u"connectionSheet"_s, tr("Add a connection"), parent)
    , m_form(form)
{
    makeFields();
    makeFoot();
    connect(&form, &ConnectionForm::changed, this, &ConnectionSheet::refresh);
    connect(&form, &ConnectionForm::saved, this, &ConnectionSheet::closeRequested);
    refresh();
}

void ConnectionSheet::makeFields()
{
    m_name = new QLineEdit;
    m_name->setObjectName(u"connectionSheet.name"_s);
    addField(tr("Name"), m_name);
    m_url = new QLineEdit;
    m_url->setObjectName(u"connectionSheet.url"_s);
    m_url->setPlaceholderText(u"https://api.fireworks.ai"_s);
    addField(tr("Address"), m_url);
    m_account = new QLineEdit;
    m_account->setObjectName(u"connectionSheet.account"_s);
    m_account->setPlaceholderText(tr("found by the key"));
    addField(tr("Account"), m_account, tr("Leave it empty to ask the service whose key this is."));
    m_key = new QLineEdit;
    m_key->setObjectName(u"connectionSheet.key"_s);
    m_key->setEchoMode(QLineEdit::Password);
    addField(tr("API key"), m_key);
    m_keepKey = new QCheckBox(tr("Keep the key in the desktop keyring"));
    m_keepKey->setObjectName(u"connectionSheet.keepKey"_s);
    body()->addWidget(m_keepKey);
    auto* keyHint = new QLabel(
        tr("Without it the key is kept for this run only. It is never written to a file."));
    keyHint->setWordWrap(true);
    keyHint->setFont(fontOf(Face::Second));
    keyHint->setForegroundRole(QPalette::PlaceholderText);
    body()->addWidget(keyHint);
    body()->addSpacing(px(10));
    m_safety = new QComboBox;
    m_safety->setObjectName(u"connectionSheet.safety"_s);
    m_safety->addItem(tr("0 \u00b7 free: commit needs no second step"), int(SafetyLevel::Free));
    m_safety->addItem(tr("1 \u00b7 confirm every write"), int(SafetyLevel::Confirm));
    m_safety->addItem(tr("2 \u00b7 type the name for what serves or cannot be undone"),
        int(SafetyLevel::TypeName));
    addField(tr("Safety level"), m_safety);
    m_caFile = new QLineEdit;
    m_caFile->setObjectName(u"connectionSheet.caFile"_s);
    addField(tr("Extra CA certificates (PEM file)"), m_caFile,
        tr("Only for servers with a certificate of your own authority."));
    m_result = new Band;
    m_result->setObjectName(u"connectionSheet.result"_s);
    body()->addWidget(m_result);
    m_note = new QLabel;
    m_note->setObjectName(u"connectionSheet.note"_s);
    m_note->setWordWrap(true);
    m_note->setTextFormat(Qt::PlainText);
    m_note->setFont(fontOf(Face::Second));
    m_note->setForegroundRole(QPalette::PlaceholderText);
    body()->addWidget(m_note);
    body()->addStretch(1);
    for (QLineEdit* edit : { m_name, m_url, m_account, m_key, m_caFile })
        connect(edit, &QLineEdit::textEdited, this, &ConnectionSheet::read);
    connect(m_safety, &QComboBox::activated, this, &ConnectionSheet::read);
    connect(m_keepKey, &QCheckBox::toggled, this, &ConnectionSheet::read);
}

void ConnectionSheet::makeFoot()
{
    m_test = makeButton(tr("Test"));
    m_test->setObjectName(u"connectionSheet.test"_s);
    m_remove = makeButton(tr("Remove"));
    m_remove->setObjectName(u"connectionSheet.remove"_s);
    auto* cancel = makeButton(tr("Cancel"));
    cancel->setObjectName(u"connectionSheet.cancel"_s);
    m_save = makeButton(tr("Save and connect"));
    m_save->setObjectName(u"connectionSheet.save"_s);
    setCommit(m_save, true);
    foot()->addWidget(m_test);
    foot()->addWidget(m_remove);
    foot()->addStretch(1);
    foot()->addWidget(cancel);
    foot()->addWidget(m_save);
    connect(m_test, &QPushButton::clicked, &m_form, &ConnectionForm::test);
    connect(m_remove, &QPushButton::clicked, &m_form, &ConnectionForm::remove);
    connect(m_save, &QPushButton::clicked, &m_form, &ConnectionForm::save);
    connect(cancel, &QPushButton::clicked, this, [this] {
        m_key->clear();
        m_form.clear();
        Q_EMIT closeRequested();
    });
}

void ConnectionSheet::begin()
{
    const QScopedValueRollback guard(m_isFilling, true);
    const Connection& connection = m_form.connection();
    setTitle(m_form.isExisting() ? tr("Connection settings") : tr("Add a connection"));
    m_name->setText(format::fromUtf8(connection.name));
    m_name->setReadOnly(m_form.isExisting());
    m_url->setText(format::fromUtf8(connection.url));
    m_account->setText(format::fromUtf8(connection.account));
    m_caFile->setText(format::fromUtf8(connection.caFile));
    m_key->clear();
    m_key->setPlaceholderText(m_form.isExisting() ? tr("unchanged") : QString());
    m_keepKey->setChecked(m_form.keepsKey());
    m_safety->setCurrentIndex(m_safety->findData(int(connection.safetyLevel)));
    m_remove->setVisible(m_form.isExisting());
    refresh();
    (m_form.isExisting() ? m_key : m_name)->setFocus(Qt::OtherFocusReason);
}

void ConnectionSheet::read()
{
    if (m_isFilling)
        return;
    Connection connection = m_form.connection();
    connection.name = format::toUtf8(m_name->text().trimmed());
    connection.url = format::toUtf8(m_url->text().trimmed());
    connection.account = format::toUtf8(m_account->text().trimmed());
    connection.caFile = format::toUtf8(m_caFile->text().trimmed());
    connection.safetyLevel = SafetyLevel(m_safety->currentData().toInt());
    m_form.setConnection(connection);
    m_form.setKeepsKey(m_keepKey->isChecked());
    m_form.setKey(m_key->text().toUtf8().trimmed());
}

void ConnectionSheet::refresh()
{
    const QString problem = m_form.problem();
    const auto state = m_form.state();
    const bool isBusy =
        state == ConnectionForm::State::Testing || state == ConnectionForm::State::Saving;
    m_test->setEnabled(problem.isEmpty() && !isBusy);
    m_save->setEnabled(problem.isEmpty() && !isBusy);
    m_test->setAccessibleDescription(problem);
    m_save->setAccessibleDescription(problem);
    m_note->setText(problem);
    m_result->show();
    switch (state) {
    case ConnectionForm::State::Testing:
        m_result->setContent(int(StatusKind::Busy), tr("Testing"), tr("asks for the account"));
        break;
    case ConnectionForm::State::Tested:
        m_result->setContent(int(StatusKind::Good), tr("It works"), m_form.testResult());
        break;
    case ConnectionForm::State::Failed:
        if (const auto& error = m_form.error()) {
            m_result->setContent(int(StatusKind::Failed), error->what, {});
            m_note->setText(QString(error->unchanged + u' ' + error->next).trimmed());
        }
        break;
    case ConnectionForm::State::Saving:
        m_result->setContent(int(StatusKind::Busy), tr("Saving"), tr("stores the key"));
        break;
    case ConnectionForm::State::Editing:
        m_result->hide();
        break;
    }
}

} // namespace desk
