"""Plugins that spoil things on purpose: one that writes too much, one that claims another's name."""

from toys import ToyQuantize, ToyTune

from kistack.plugins.hookspecs import hookimpl


class Bulky(ToyQuantize):
    """Writes eight megabytes where one was announced."""

    name = "quantize/bulky"

    def run(self, settings, ctx):
        made = super().run(settings, ctx)
        with (ctx.out("model") / "ballast").open("wb") as file:
            for _ in range(8):
                file.write(bytes(1 << 20))
        return {"model": {**made["model"], "bytes": made["model"]["bytes"] + (8 << 20)}}


class OtherTune(ToyTune):
    """Has the name of another plugin's stage."""


class BulkyPlugin:
    @hookimpl
    def kistack_register_quantizers(self):
        return [Bulky]


class RivalPlugin:
    @hookimpl
    def kistack_register_tuners(self):
        return [OtherTune]


bulky = BulkyPlugin()
rival = RivalPlugin()
