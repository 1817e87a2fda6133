/* SPDX-License-Identifier: MIT */
#ifndef CONSUMERS_LIGHTGBM_LIGHTGBM_H
#define CONSUMERS_LIGHTGBM_LIGHTGBM_H

#include <stdint.h>

/* What is used here of LightGBM's C API (version 4), whose header its Python package, the
 * usual way to get the library, does not contain. */
typedef void *DatasetHandle;
typedef void *BoosterHandle;

#define C_API_DTYPE_FLOAT32 0
#define C_API_DTYPE_FLOAT64 1
#define C_API_PREDICT_RAW_SCORE 1

const char *LGBM_GetLastError(void);
int LGBM_DatasetCreateFromMat(const void *data, int data_type, int32_t rows, int32_t columns,
                              int is_row_major, const char *parameters, DatasetHandle reference,
                              DatasetHandle *dataset);
int LGBM_DatasetSetField(DatasetHandle dataset, const char *field, const void *data, int count,
                         int data_type);
int LGBM_DatasetFree(DatasetHandle dataset);
int LGBM_BoosterCreate(DatasetHandle dataset, const char *parameters, BoosterHandle *booster);
int LGBM_BoosterFree(BoosterHandle booster);
int LGBM_BoosterUpdateOneIter(BoosterHandle booster, int *is_finished);
int LGBM_BoosterUpdateOneIterCustom(BoosterHandle booster, const float *gradient,
                                    const float *hessian, int *is_finished);
int LGBM_BoosterGetPredict(BoosterHandle booster, int data_index, int64_t *length,
                           double *predictions);
int LGBM_BoosterPredictForMat(BoosterHandle booster, const void *data, int data_type, int32_t rows,
                              int32_t columns, int is_row_major, int predict_type,
                              int first_iteration, int iterations, const char *parameters,
                              int64_t *length, double *predictions);

#endif
