"""What a board does for the town, one file a service, named by the word `service` of the configuration (README.md)."""

from firmware.wire.errors import DeviceError


def build(word, settings, sensors):
    """Return the service `word` with its settings and its sensors (dict of drivers by their part in the service).

    DeviceError("config") for an unknown service, a sensor that lacks or a setting that cannot be."""
    try:
        module = __import__("firmware.services." + word, None, None, ("Service",))
        service = module.Service
    except (ImportError, AttributeError, TypeError):
        raise DeviceError("config", word)
    try:
        return service(settings, sensors)
    except KeyError as error:
        raise DeviceError("config", str(error))
