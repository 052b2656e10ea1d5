// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/widgets/buttons.h"

#include "ui/style/fonts.h"
#include "ui/style/icons.h"

#include <QAction>
#include <QLineEdit>
#include <QPushButton>
#include <QTabBar>
#include <QToolButton>

using namespace Qt::StringLiterals;

namespace desk {

namespace {

    QString spokenTab(QString text)
    {
        return text.replace(u'\t', u", "_s);
    }

    void followAction(QPushButton* button, const QAction* action)
    {
        button->setText(action->text());
        button->setEnabled(action->isEnabled());
        button->setToolTip({}); // no fact lives only in a tooltip
        button->setAccessibleDescription(action->isEnabled() ? QString() : action->statusTip());
    }

} // namespace

QPushButton* makeButton(const QString& text, bool isCompact)
{
    auto* button = new QPushButton(text);
    button->setAutoDefault(false);
    button->setProperty("compact", isCompact);
    button->setFixedHeight(px(isCompact ? 24 : 28));
    return button;
}

QPushButton* makeButton(QAction* action, bool isCompact)
{
    QPushButton* button = makeButton(action->text(), isCompact);
    button->setObjectName(action->objectName() + u".button"_s);
    followAction(button, action);
    QObject::connect(
        action, &QAction::changed, button, [button, action] { followAction(button, action); });
    QObject::connect(button, &QPushButton::clicked, action, &QAction::trigger);
    return button;
}

QToolButton* makeIconButton(const QString& iconName, const QString& name)
{
    auto* button = new QToolButton;
    button->setIcon(icon(iconName));
    button->setIconSize(QSize(px(16), px(16)));
    button->setFixedSize(px(24), px(24));
    button->setAutoRaise(true);
    button->setAccessibleName(name);
    button->setToolTip(name);
    return button;
}

QToolButton* makeLinkButton(const QString& text)
{
    auto* button = new QToolButton;
    button->setText(text);
    button->setAutoRaise(true);
    button->setToolButtonStyle(Qt::ToolButtonTextOnly);
    button->setProperty("link", true);
    button->setCursor(Qt::PointingHandCursor);
    button->setMinimumHeight(px(24));
    return button;
}

void setCommit(QPushButton* button, bool isCommit)
{
    button->setProperty("commit", isCommit);
    button->setIcon(button->icon()); // forgets the cached size hint
}

void setKeyCap(QAbstractButton* button, const QString& key)
{
    button->setProperty("keycap", key);
    button->setIcon(button->icon()); // forgets the cached size hint
}

QTabBar* makeTabBar(
    const QStringList& tabs, const QString& accessibleName, bool isTight, int height)
{
    auto* bar = new QTabBar;
    bar->setProperty("tight", isTight);
    bar->setProperty("pad", isTight ? 14 : 18);
    bar->setDrawBase(false);
    bar->setExpanding(false);
    bar->setUsesScrollButtons(false);
    bar->setElideMode(Qt::ElideNone);
    bar->setFixedHeight(px(height));
    bar->setAccessibleName(accessibleName);
    for (const QString& tab : tabs)
        bar->setAccessibleTabName(bar->addTab(tab), spokenTab(tab));
    return bar;
}

void setTabText(QTabBar* bar, int index, const QString& text, const QString& count)
{
    const QString shown = count.isEmpty() ? text : text + u'\t' + count;
    if (bar->tabText(index) == shown)
        return;
    bar->setTabText(index, shown);
    bar->setAccessibleTabName(index, spokenTab(shown));
}

QLineEdit* makeBareEdit(const QString& placeholder, const QString& accessibleName)
{
    auto* edit = new QLineEdit;
    edit->setProperty("bare", true);
    edit->setFrame(false);
    edit->setPlaceholderText(placeholder);
    edit->setAccessibleName(accessibleName);
    edit->setMinimumWidth(px(40));
    // Only this role is masked; every other one still follows the theme.
    QPalette masked;
    masked.setColor(QPalette::Base, Qt::transparent);
    edit->setPalette(masked);
    return edit;
}

} // namespace desk
