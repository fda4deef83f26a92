"""The function app: the health routes, and the folders that its settings enable, registered."""

from importlib import import_module

from shared.importing import without_garbage_collection

with without_garbage_collection():
    import azure.functions as func

    from shared.events import silence_libraries
    from shared.health.blueprint import blueprint as health
    from shared.settings import telemetry_settings, trigger_settings
    from shared.telemetry.outbox import send_telemetry

    silence_libraries()
    send_telemetry(telemetry_settings())

    app = func.FunctionApp(http_auth_level=func.AuthLevel.FUNCTION)
    app.register_functions(health)
    # What is not enabled is not even imported: nothing can reach it, and no cold start pays for it.
    for folder in trigger_settings().enabled_functions:
        app.register_functions(import_module(f"{folder}.blueprint").blueprint)
