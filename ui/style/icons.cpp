// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/style/icons.h"

#include "ui/style/paint.h"
#include "ui/style/tokens.h"

#include <QDir>
#include <QIconEngine>
#include <QPixmapCache>
#include <QResource>
#include <QSvgRenderer>

using namespace Qt::StringLiterals;

// Must stand outside every namespace: the macro declares a function.
static void initDeskIcons()
{
    Q_INIT_RESOURCE(icons);
}

namespace desk {

namespace {

    void loadIconResources()
    {
        static const bool isLoaded = [] {
            initDeskIcons();
            return true;
        }();
        Q_UNUSED(isLoaded)
    }

    QByteArray iconSource(const QString& name)
    {
        loadIconResources();
        const QResource file(u":/desk/icons/%1.svg"_s.arg(name));
        return file.isValid() ? file.uncompressedData() : QByteArray();
    }

    QPixmap iconPixmap(const QString& name, const QSize& deviceSize, const QColor& color)
    {
        const QString key = u"icon/%1/%2/%3"_s.arg(
            name, QString::number(deviceSize.width()), color.name(QColor::HexArgb));
        QPixmap pixmap;
        if (QPixmapCache::find(key, &pixmap))
            return pixmap;
        QByteArray source = iconSource(name);
        source.replace("currentColor", color.name().toLatin1());
        pixmap = QPixmap(deviceSize);
        pixmap.fill(Qt::transparent);
        if (!source.isEmpty()) {
            QSvgRenderer renderer(source);
            QPainter painter(&pixmap);
            renderer.render(&painter);
        }
        QPixmapCache::insert(key, pixmap);
        return pixmap;
    }

    // Resolves its color when painted, so a theme switch makes no new icons.
    class LineIconEngine final : public QIconEngine
    {
    public:
        explicit LineIconEngine(QString name)
            : m_name(std::move(name))
        {
        }
        void paint(QPainter* painter, const QRect& rect, QIcon::Mode mode, QIcon::State) override
        {
            drawIcon(*painter, m_name, rect, color(mode));
        }
        QPixmap pixmap(const QSize& size, QIcon::Mode mode, QIcon::State) override
        {
            return iconPixmap(m_name, size, color(mode));
        }
        QPixmap scaledPixmap(
            const QSize& size, QIcon::Mode mode, QIcon::State, qreal scale) override
        {
            QPixmap pixmap = iconPixmap(m_name, size, color(mode));
            pixmap.setDevicePixelRatio(scale);
            return pixmap;
        }
        QIconEngine* clone() const override { return new LineIconEngine(m_name); }

    private:
        static QColor color(QIcon::Mode mode)
        {
            return mode == QIcon::Disabled ? tokens().disabled : tokens().text2;
        }
        QString m_name;
    };

} // namespace

QIcon icon(const QString& name)
{
    return QIcon(new LineIconEngine(name));
}

void drawIcon(QPainter& painter, const QString& name, const QRect& rect, const QColor& color)
{
    const qreal ratio = devicePixelRatioOf(painter);
    QPixmap pixmap = iconPixmap(name, (QSizeF(rect.size()) * ratio).toSize(), color);
    pixmap.setDevicePixelRatio(ratio);
    painter.drawPixmap(rect.topLeft(), pixmap);
}

QStringList iconNames()
{
    loadIconResources();
    QStringList names;
    const QStringList files = QDir(u":/desk/icons"_s).entryList({ u"*.svg"_s }, QDir::Files);
    for (const QString& file : files)
        names.append(file.chopped(4));
    return names;
}

QIcon applicationIcon()
{
    QIcon result;
    QSvgRenderer renderer(iconSource(u"app"_s));
    for (const int size : { 16, 22, 24, 32, 48, 64, 128, 256 }) {
        QPixmap pixmap(size, size);
        pixmap.fill(Qt::transparent);
        QPainter painter(&pixmap);
        renderer.render(&painter);
        result.addPixmap(pixmap);
    }
    return result;
}

} // namespace desk
