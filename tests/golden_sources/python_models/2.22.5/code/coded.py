from mlflow.models import ModelConfig, set_model
from mlflow.pyfunc import PythonModel


class Coded(PythonModel):
    def predict(self, context, model_input, params=None):
        return model_input["x"] * ModelConfig(development_config={"by": 1}).get("by")


set_model(Coded())
