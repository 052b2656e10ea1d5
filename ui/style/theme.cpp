// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/style/theme.h"

#include "ui/style/desk_style.h"
#include "ui/style/focus_ring.h"
#include "ui/style/fonts.h"
#include "ui/style/tokens.h"

#include <QApplication>
#include <QDBusConnection>
#include <QDBusMessage>
#include <QDBusPendingCallWatcher>
#include <QDBusPendingReply>
#include <QToolTip>

using namespace Qt::StringLiterals;

namespace desk {

namespace {

    constexpr QStringView kPortalService = u"org.freedesktop.portal.Desktop";
    constexpr QStringView kPortalPath = u"/org/freedesktop/portal/desktop";
    constexpr QStringView kPortalSettings = u"org.freedesktop.portal.Settings";
    constexpr QStringView kAppearance = u"org.freedesktop.appearance";
    constexpr QStringView kColorScheme = u"color-scheme";

    // The portal wraps the value once (ReadOne) or twice (Read).
    uint unwrappedScheme(QVariant value)
    {
        for (int depth = 0; depth < 4 && value.canConvert<QDBusVariant>(); ++depth)
            value = value.value<QDBusVariant>().variant();
        return value.toUInt();
    }

    constexpr uint kPrefersDark = 1; // 0: no preference, 2: light

    bool isDarkPalette(const QPalette& palette)
    {
        return palette.color(QPalette::Window).lightnessF()
            < palette.color(QPalette::WindowText).lightnessF();
    }

} // namespace

Theme::Theme(Mode mode, QObject* parent)
    : QObject(parent)
    , m_mode(mode)
    , m_isSystemDark(isDarkPalette(QApplication::palette()))
{
    QApplication::setStyle(new DeskStyle);
    initFonts();
    new FocusRing(this);
    apply();
    askPortal();
}

Theme::~Theme() = default;

bool Theme::isDark() const noexcept
{
    return m_mode == Mode::Dark || (m_mode == Mode::System && m_isSystemDark);
}

void Theme::setMode(Mode mode)
{
    if (mode == m_mode)
        return;
    m_mode = mode;
    apply();
    Q_EMIT modeChanged(mode);
}

QString Theme::word(Mode mode)
{
    switch (mode) {
    case Mode::System:
        break;
    case Mode::Light:
        return u"light"_s;
    case Mode::Dark:
        return u"dark"_s;
    }
    return u"system"_s;
}

Theme::Mode Theme::fromWord(const QString& word)
{
    if (word == u"light")
        return Mode::Light;
    if (word == u"dark")
        return Mode::Dark;
    return Mode::System;
}

void Theme::apply()
{
    setTokens(isDark() ? darkTokens() : lightTokens());
    const QPalette palette = makePalette(tokens());
    QApplication::setPalette(palette);
    QToolTip::setPalette(palette);
    Q_EMIT changed(isDark());
}

void Theme::askPortal()
{
    QDBusConnection bus = QDBusConnection::sessionBus();
    if (!bus.isConnected())
        return;
    bus.connect(QString(), kPortalPath.toString(), kPortalSettings.toString(), u"SettingChanged"_s,
        this, SLOT(noteSetting(QString, QString, QDBusVariant)));
    QDBusMessage call = QDBusMessage::createMethodCall(
        kPortalService.toString(), kPortalPath.toString(), kPortalSettings.toString(), u"Read"_s);
    call << kAppearance.toString() << kColorScheme.toString();
    constexpr int kTimeoutMs = 3000;
    auto* watcher = new QDBusPendingCallWatcher(bus.asyncCall(call, kTimeoutMs), this);
    connect(watcher, &QDBusPendingCallWatcher::finished, this, [this](QDBusPendingCallWatcher* w) {
        w->deleteLater();
        const QDBusPendingReply<QDBusVariant> reply = *w;
        if (reply.isValid())
            noteSetting(kAppearance.toString(), kColorScheme.toString(), reply.value());
    });
}

void Theme::noteSetting(const QString& space, const QString& key, const QDBusVariant& value)
{
    if (space != kAppearance || key != kColorScheme)
        return;
    const bool isDarkNow = unwrappedScheme(value.variant()) == kPrefersDark;
    if (isDarkNow == m_isSystemDark)
        return;
    m_isSystemDark = isDarkNow;
    if (m_mode == Mode::System)
        apply();
}

} // namespace desk
