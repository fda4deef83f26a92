"""The function app: three blueprints, registered."""

import azure.functions as func

from purge_study.blueprint import blueprint as purge_study
from query_api.blueprint import blueprint as query_api
from shared.events import silence_libraries
from store_on_upload.blueprint import blueprint as store_on_upload

silence_libraries()

app = func.FunctionApp(http_auth_level=func.AuthLevel.FUNCTION)
app.register_functions(store_on_upload)
app.register_functions(query_api)
app.register_functions(purge_study)
